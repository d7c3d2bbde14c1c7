//! What the store of a gateway has, for who does not open it.

use anyhow::Result;
use smart_city_engine::{audit::Head, store::Stored};
use tokio_postgres::{Client, types::Type};

use crate::{
    Gateway,
    session::Session,
    store::{rows, unsigned},
};

impl Gateway {
    /// Reads what the database has of this gateway and of its audit log, and changes nothing: a process that has opened the store goes on.
    /// None if there is no such gateway.
    ///
    /// # Errors
    /// If it cannot be read, or there is no database of gateways.
    pub fn peek(&self) -> Result<Option<Stored>> {
        let sql = "select identity, generation, head_n, head_hash from gateways where name = $1";
        Session::new(self.database.clone())?.run(async |client: &Client| {
            let found = rows(client, sql, [(&self.name, Type::TEXT)]).await?;
            let Some(row) = found.first() else { return Ok(None) };
            Ok(Some(Stored {
                identity: row.get(0),
                generation: unsigned(row.get(1))?,
                head: Head { n: unsigned(row.get(2))?, hash: row.get(3) },
                shards: Some(self.shards),
                ..Stored::default()
            }))
        })
    }
}
