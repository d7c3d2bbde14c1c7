//! A store that several engines share, in memory, with the rules of the one in a database.
#![allow(unreachable_pub, reason = "as of what is common")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::{Result, ensure};
use smart_city_engine::{
    audit::Head,
    memory::Fingerprint,
    store::{Changes, DeviceRecord, Found, Place, Reading, Shard, Snapshot, Store, Stored},
};
use smart_city_frame::DeviceId;

/// Numbers of readings from one start to the next.
const BLOCK: u64 = 1 << 40;

/// What is stored.
#[derive(Debug, Default)]
pub struct Content {
    terms: Vec<i64>,
    epochs: BTreeMap<(DeviceId, Fingerprint), u16>,
    devices: BTreeMap<DeviceId, DeviceRecord>,
    pub links: BTreeMap<DeviceId, Vec<u8>>,
    pub outbox: BTreeMap<u64, Reading>,
    /// Every frame of which a reading was ever accepted, with what it said.
    pub accepted: BTreeMap<([u8; 8], u16, u32), Vec<u8>>,
    gateways: BTreeMap<String, (u64, Head)>,
    blocks: u64,
}

/// The place of one engine's store.
#[derive(Clone, Debug)]
pub struct Shared {
    pub content: Arc<Mutex<Content>>,
    pub name: String,
}

#[derive(Debug)]
struct SharedStore {
    place: Shared,
    identity: String,
    generation: u64,
    held: BTreeMap<u16, i64>,
}

impl Shared {
    pub fn new(shards: u16) -> Self {
        let content = Content { terms: vec![0; shards.into()], ..Content::default() };
        Self { content: Arc::new(Mutex::new(content)), name: String::new() }
    }

    pub fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    pub fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    /// All of a shard, under a new term.
    pub fn take(&self, number: u16) -> Box<Shard> {
        let mut content = self.lock();
        let shards = u16::try_from(content.terms.len()).unwrap();
        let of = |id: &DeviceId| id.shard(shards) == number;
        content.terms[usize::from(number)] += 1;
        let (links, others) = std::mem::take(&mut content.links).into_iter().partition(|(id, _)| of(id));
        content.links = others;
        let mut outbox = content.outbox.iter().filter(|(_, reading)| of(&DeviceId(reading.device)));
        let first = outbox.next().map(|(number, _)| *number);
        Box::new(Shard {
            number,
            term: content.terms[usize::from(number)],
            epochs: content
                .epochs
                .iter()
                .filter(|((id, _), _)| of(id))
                .map(|((id, key), epoch)| (*id, *key, *epoch))
                .collect(),
            devices: content
                .devices
                .iter()
                .filter(|(id, _)| of(id))
                .map(|(id, record)| (*id, record.clone()))
                .collect(),
            outbox: (u64::from(first.is_some()) + outbox.count() as u64, first),
            links: BTreeMap::into_iter(links).collect(),
            history: (0, None),
        })
    }

    fn open(&self) -> (Box<dyn Store>, Stored) {
        let mut content = self.lock();
        content.blocks += 1;
        let next = content.blocks * BLOCK;
        let shards = Some(u16::try_from(content.terms.len()).unwrap());
        let (generation, head) = content.gateways.entry(self.name.clone()).or_default().clone();
        let identity = format!("of {}", self.name);
        let stored =
            Stored { identity: identity.clone(), generation, head, next, shards, ..Stored::default() };
        (Box::new(SharedStore { place: self.clone(), identity, generation, held: BTreeMap::new() }), stored)
    }
}

impl Place for Shared {
    fn find(&self) -> Result<Found> {
        if !self.lock().gateways.contains_key(&self.name) {
            return Ok(Found::Nothing);
        }
        let (store, stored) = self.open();
        Ok(Found::Whole(store, Box::new(stored)))
    }

    fn create(&self) -> Result<(Box<dyn Store>, Stored)> {
        Ok(self.open())
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl Store for SharedStore {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn skip_to(&mut self, generation: u64) {
        self.generation = generation.max(self.generation);
    }

    fn outbox(&mut self, from: u64, limit: usize) -> Result<Vec<(u64, Reading)>> {
        let content = self.place.lock();
        let shards = u16::try_from(content.terms.len())?;
        let is_held = |reading: &Reading| self.held.contains_key(&DeviceId(reading.device).shard(shards));
        let readings = content.outbox.range(from..).filter(|(_, reading)| is_held(reading));
        Ok(readings.take(limit).map(|(number, reading)| (*number, reading.clone())).collect())
    }

    fn commit(&mut self, changes: &Changes, head: &Head) -> Result<()> {
        let mut content = self.place.lock();
        for (shard, term) in &self.held {
            ensure!(content.terms[usize::from(*shard)] == *term, "another engine has shard {shard}");
        }
        let shards = u16::try_from(content.terms.len())?;
        let all = changes.epochs.iter().map(|(id, ..)| *id).chain(changes.devices.iter().map(|(id, _)| *id));
        let all = all.chain(changes.accepted.iter().map(|(_, reading)| DeviceId(reading.device)));
        let all: BTreeSet<_> = all.chain(changes.links.iter().map(|(id, _)| *id)).collect();
        for id in all {
            ensure!(self.held.contains_key(&id.shard(shards)), "{id} is not this engine's");
        }
        for (id, key, epoch) in &changes.epochs {
            let before = content.epochs.insert((*id, *key), *epoch);
            ensure!(before <= Some(*epoch), "an epoch of {id} would go back");
        }
        content.devices.extend(changes.devices.iter().cloned());
        for (number, reading) in &changes.accepted {
            let frame = (reading.device, reading.epoch, reading.counter);
            assert!(
                content.accepted.insert(frame, reading.payload.clone()).is_none(),
                "a frame was accepted twice"
            );
            assert!(content.outbox.insert(*number, reading.clone()).is_none(), "a number came twice");
        }
        for number in &changes.delivered {
            let reading = content.outbox.remove(number);
            let is_held =
                reading.is_none_or(|reading| self.held.contains_key(&DeviceId(reading.device).shard(shards)));
            assert!(is_held, "a reading of another engine's was removed");
        }
        for (id, link) in &changes.links {
            assert!(content.links.insert(*id, link.clone()).is_none(), "two links of {id}");
        }
        self.generation += 1;
        content.gateways.insert(self.place.name.clone(), (self.generation, head.clone()));
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>> {
        anyhow::bail!("it has no history")
    }

    fn hold(&mut self, shard: &Shard) -> Result<()> {
        self.held.insert(shard.number, shard.term);
        Ok(())
    }

    fn let_go(&mut self, shard: u16) {
        self.held.remove(&shard);
    }
}
