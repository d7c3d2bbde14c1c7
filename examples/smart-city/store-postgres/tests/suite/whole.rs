//! One gateway alone, which takes all shards when it opens its store: so it does what every store does.
#![allow(unreachable_pub, reason = "as of what is common")]

use anyhow::Result;
use smart_city_engine::store::{Found, Place, Store, Stored};
use smart_city_store_postgres::{Database, Gateway, Limits, load};
use tokio::runtime::{Builder, Runtime};

use crate::cluster::with;

pub const SHARDS: u16 = 4;

#[derive(Clone, Debug)]
pub struct Whole {
    gateway: Gateway,
    /// Of the database itself, whatever is between it and the gateway.
    address: String,
}

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn gateway(database: &Database, name: &str) -> Gateway {
    Gateway { database: database.clone(), name: name.to_owned(), shards: SHARDS }
}

impl Whole {
    pub fn new(address: &str, name: &str, limits: Limits) -> Self {
        Self::through(address, address, name, limits)
    }

    pub fn through(way: &str, address: &str, name: &str, limits: Limits) -> Self {
        let database = Database::new(way, None, None, limits).unwrap();
        Self { gateway: gateway(&database, name), address: address.to_owned() }
    }

    /// Takes all shards, whoever has them.
    fn take(&self, mut store: Box<dyn Store>, mut stored: Stored) -> Result<(Box<dyn Store>, Stored)> {
        assert_eq!(stored.shards, Some(SHARDS));
        let taken = with(&self.address, async |client| {
            let sql = "update leases set term = term + 1, member = null returning shard, term";
            client.query(sql, &[]).await.unwrap()
        });
        for row in taken {
            let number = row.get::<_, i16>(0).try_into().unwrap();
            let shard = runtime().block_on(load(&self.gateway.database, number, row.get(1)))?;
            store.hold(&shard)?;
            stored.history.0 += shard.history.0;
            stored.history.1 = stored.history.1.into_iter().chain(shard.history.1).min();
            stored.epochs.extend(shard.epochs);
            stored.devices.extend(shard.devices);
        }
        stored.outbox = store.outbox(0, 10_000)?;
        stored.shards = None;
        Ok((store, stored))
    }
}

impl Place for Whole {
    fn find(&self) -> Result<Found> {
        match self.gateway.find()? {
            Found::Whole(store, stored) => {
                let (store, stored) = self.take(store, *stored)?;
                Ok(Found::Whole(store, Box::new(stored)))
            }
            other => Ok(other),
        }
    }

    fn create(&self) -> Result<(Box<dyn Store>, Stored)> {
        let (store, stored) = self.gateway.create()?;
        self.take(store, stored)
    }
}
