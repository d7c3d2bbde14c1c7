//! What the store of a gateway has, for who does not open it.

use anyhow::Result;
use smart_city_engine::store::Stored;
use tokio_postgres::Client;

use crate::{Gateway, session::Session, store::written};

impl Gateway {
    /// Reads what the database has of this gateway and of its audit log, and changes nothing: a process that has opened the store goes on.
    /// None if there is no such gateway.
    ///
    /// # Errors
    /// If it cannot be read, or there is no database of gateways.
    pub fn peek(&self) -> Result<Option<Stored>> {
        Session::new(self.database.clone())?.run(async |client: &Client| {
            let found = written(client, &self.name).await?;
            Ok(found.map(|(identity, generation, head)| Stored {
                identity,
                generation,
                head,
                shards: Some(self.shards),
                ..Stored::default()
            }))
        })
    }
}
