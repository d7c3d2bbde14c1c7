//! The devices that an engine has, if several engines share them: shards come and go, each with all that is known of its devices.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::json;
use smart_city_frame::DeviceId;

use super::{Denied, Engine, Instant};
use crate::store::{Changes, Shard};

/// Which devices the engine has. Without other engines all of them are in one shard, which it has always.
#[derive(Debug)]
pub(super) struct Shards {
    /// Into how many all devices are divided.
    count: u16,
    /// Whether other engines have devices too.
    pub(super) are_shared: bool,
    /// Those that the engine has, each with its readings in the outbox.
    held: BTreeMap<u16, u64>,
    /// Devices of other shards that are isolated.
    pub(super) isolated_elsewhere: BTreeSet<DeviceId>,
}

impl Shards {
    /// Of an engine that shares a store in which there are so many; or of one that has all devices, with its readings in the outbox.
    pub(super) fn new(shared: Option<u16>, outbox: u64) -> Self {
        let held = if shared.is_some() { BTreeMap::new() } else { BTreeMap::from([(0, outbox)]) };
        Self {
            count: shared.unwrap_or(1),
            are_shared: shared.is_some(),
            held,
            isolated_elsewhere: BTreeSet::new(),
        }
    }

    /// The shard of a device.
    pub(super) const fn of(&self, id: DeviceId) -> u16 {
        id.shard(self.count)
    }

    /// Whether the engine has a device.
    pub(super) fn have(&self, id: DeviceId) -> bool {
        self.held.contains_key(&self.of(id))
    }

    /// The readings in the outbox of a device's shard.
    pub(super) fn outbox_of(&mut self, id: DeviceId) -> Option<&mut u64> {
        self.held.get_mut(&id.shard(self.count))
    }

    /// The readings in the outbox.
    pub(super) fn outbox(&self) -> u64 {
        self.held.values().sum()
    }
}

impl Engine {
    /// Into how many shards the devices are divided that this engine shares with others; none if it has them all.
    #[must_use]
    pub fn shards(&self) -> Option<u16> {
        self.shards.are_shared.then_some(self.shards.count)
    }

    /// Whether it is this engine that decides about a device.
    pub(super) fn is_here(&self, id: DeviceId) -> Result<(), Denied> {
        let is_elsewhere = self.city.devices.contains_key(&id) && !self.shards.have(id);
        if is_elsewhere { Err(Denied::Elsewhere) } else { Ok(()) }
    }

    /// Has a shard from now on.
    pub(super) fn take(&mut self, shard: Shard, now: Instant) -> Result<()> {
        let number = shard.number;
        ensure!(number < self.shards.count, "there is no shard {number}");
        ensure!(!self.shards.held.contains_key(&number), "the engine has shard {number} already");
        self.store.hold(&shard)?;
        let Shard { term, epochs, devices, links, outbox: (readings, first), .. } = shard;
        self.shards.held.insert(number, readings);
        // What was given out of other shards is passed over when it is read again.
        self.parked = [self.parked, first].into_iter().flatten().min();
        self.past_epochs.extend(epochs.into_iter().map(|(id, key, epoch)| ((id, key), epoch)));
        for (id, record) in devices {
            for observer in self.observers.iter_mut().filter(|_| record.isolated.is_some()) {
                observer.isolated(id, true);
            }
            self.absent.insert(id, record);
        }
        self.take_devices(now);
        let mut went_on = 0;
        for (id, link) in &links {
            if let (Some(device), Some((root, _))) = (self.devices.get_mut(id), self.secrets.devices.get(id))
            {
                went_on += usize::from(device.resume(*id, root, link));
                device.wait(*id, &mut self.waiting);
            }
        }
        let ids: Vec<_> = self.devices_of(number).collect();
        self.audit(
            "shard taken",
            json!({ "shard": number, "term": term, "devices": ids.len(), "links": went_on }),
        );
        self.seen.extend(ids);
        Ok(())
    }

    /// Gives a shard up. Nothing of it may be under way in the batch.
    pub(super) fn release(&mut self, number: u16, now: Instant) -> Result<()> {
        if !self.shards.held.contains_key(&number) {
            return Ok(());
        }
        let count = self.shards.count;
        let of_shard = |id: &DeviceId| id.shard(count) == number;
        let ids: Vec<_> = self.devices_of(number).collect();
        let mut changes = Changes { history: self.bounds(now), ..Changes::default() };
        changes.delivered = std::mem::take(&mut self.batch.changes.delivered);
        let mut forgotten = Vec::new();
        for id in &ids {
            let Some(mut device) = self.devices.remove(id) else { continue };
            device.stop_waiting(*id, &mut self.waiting);
            if device.record.isolated.is_some() {
                self.shards.isolated_elsewhere.insert(*id);
            }
            let expects =
                device.outstanding.as_ref().is_some_and(|outstanding| outstanding.deadline.is_some());
            if expects || device.recovery.is_some() {
                forgotten.push(*id);
            }
            // The link is gone before its state is stored: nothing can be sealed behind it.
            changes.links.extend(device.suspend().map(|link| (*id, link)));
        }
        self.absent.retain(|id, _| !of_shard(id));
        self.past_epochs.retain(|(id, _), _| !of_shard(id));
        self.seen.retain(|id| !of_shard(id));
        for (number, (left, _)) in self.undelivered.extract_if(|_, (_, id)| of_shard(id)) {
            self.outgoing -= left;
            self.given_up.insert(number, left);
        }
        for id in forgotten {
            // Whoever wanted it has to want it again.
            self.audit("given up with its shard", json!({ "device": id.to_string(), "shard": number }));
        }
        self.audit(
            "shard released",
            json!({ "shard": number, "devices": ids.len(), "links": changes.links.len() }),
        );
        self.store_changes(&changes)?;
        self.shards.held.remove(&number);
        self.store.let_go(number);
        self.view.write().remove(&ids);
        Ok(())
    }

    /// The devices of a shard that the registry has.
    fn devices_of(&self, number: u16) -> impl Iterator<Item = DeviceId> {
        self.devices.keys().copied().filter(move |id| self.shards.of(*id) == number)
    }
}
