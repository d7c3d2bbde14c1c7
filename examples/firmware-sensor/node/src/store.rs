//! What a node keeps: two copies of everything, each in a map of its own.
//!
//! A map of `sequential-storage` outlives a loss of power at any time. But if the newest value in it is damaged, it gives an older one, and an older
//! state repeats nonces. So there are two maps, in flash pages of their own, and a state counts as stored when both of them have it and were read
//! back. If one of them is then lost or damaged, the other one has the newest state. What is missing in one map is written again from what the
//! node knows.

use core::ops::Range;
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use sequential_storage::{
    Error,
    cache::{Cache, Uncached},
    map::{MapConfig, MapStorage},
};
use zeroize::Zeroizing;

use crate::frame::Keys;

/// The bytes of a state.
pub(crate) const STATE: usize = 32;

pub(crate) const MAPS: u8 = 2;

/// The pages of a map: one in use, and one to move to.
const PAGES_EACH: u32 = 2;

/// The pages of flash that a node takes.
pub const PAGES: u32 = PAGES_EACH * MAPS as u32;

/// For the longest item with its key, and padding to the longest word that the map allows.
const BUFFER: usize = 96;

/// The items of a map.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Item {
    Sealer = 1,
    Opener = 2,
    /// Written last: a map that has keys has states.
    Keys = 3,
}

/// All that is stored.
#[derive(Clone)]
pub(crate) struct Contents {
    pub(crate) keys: Keys,
    pub(crate) sealer: [u8; STATE],
    pub(crate) opener: [u8; STATE],
}

/// Not everything was stored in both maps, or flash cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FlashFailed;

/// A map for one operation. No cache: it would have to be right after all that can go wrong.
type Map<'a, F> = MapStorage<u8, &'a mut F, Cache<Uncached, Uncached, Uncached, u8>>;

/// Two maps.
pub(crate) struct Store<'a, F> {
    flash: &'a mut F,
    start: u32,
    /// Which maps were erased since a save succeeded: what takes nothing then is not erased again, which would wear it out.
    were_erased: [bool; MAPS as usize],
}

impl<'a, F: MultiwriteNorFlash> Store<'a, F> {
    const MAP_SIZE: u32 = {
        assert!(F::ERASE_SIZE <= 1 << 20, "pages of such a size are not for this");
        #[allow(clippy::cast_possible_truncation, reason = "at most 2^20")]
        let page = F::ERASE_SIZE as u32;
        PAGES_EACH * page
    };

    /// The maps from address `start` on, which is that of a page.
    pub(crate) fn new(flash: &'a mut F, start: u32) -> Self {
        Self { flash, start, were_erased: [false; MAPS as usize] }
    }

    fn range(&self, map: u8) -> Option<Range<u32>> {
        let start = self.start.checked_add(u32::from(map).checked_mul(Self::MAP_SIZE)?)?;
        Some(start..start.checked_add(Self::MAP_SIZE)?)
    }

    fn map(&mut self, map: u8) -> Option<Map<'_, F>> {
        let config = MapConfig::try_new(self.range(map)?).ok()?;
        Some(MapStorage::new(&mut *self.flash, config, Cache::new_uncached()))
    }

    /// The newest value of an item in a map, if there is one of this length that is not damaged.
    async fn fetch<const N: usize>(
        &mut self,
        map: u8,
        item: Item,
    ) -> Result<Option<Zeroizing<[u8; N]>>, FlashFailed> {
        let mut buffer = Zeroizing::new([0; BUFFER]);
        let mut storage = self.map(map).ok_or(FlashFailed)?;
        match storage.fetch_item::<&[u8]>(&mut *buffer, &(item as u8)).await {
            Ok(found) => Ok(found.and_then(|found| found.try_into().ok()).map(Zeroizing::new)),
            Err(Error::Storage { .. }) => Err(FlashFailed),
            Err(_) => Ok(None),
        }
    }

    /// Whether the map has this value of an item.
    async fn has<const N: usize>(
        &mut self,
        map: u8,
        item: Item,
        value: &[u8; N],
    ) -> Result<bool, FlashFailed> {
        Ok(self.fetch(map, item).await?.is_some_and(|found| *found == *value))
    }

    /// Stores an item in a map that does not have it. Whether it is there afterwards is not said: to store another one may move it.
    async fn store<const N: usize>(&mut self, map: u8, item: Item, value: &[u8; N]) {
        if self.has(map, item, value).await == Ok(true) {
            return;
        }
        let mut buffer = Zeroizing::new([0; BUFFER]);
        if let Some(mut storage) = self.map(map) {
            let _ = storage.store_item::<&[u8]>(&mut *buffer, &(item as u8), &&value[..]).await;
        }
    }

    async fn has_all(&mut self, map: u8, contents: &Contents) -> Result<bool, FlashFailed> {
        let Contents { keys, sealer, opener } = contents;
        Ok(self.has(map, Item::Sealer, sealer).await?
            && self.has(map, Item::Opener, opener).await?
            && self.has(map, Item::Keys, &keys.to_bytes()).await?)
    }

    /// Whether the map has everything, perhaps after it was stored.
    ///
    /// Words that are not as they should be, half programmed or damaged, may spoil what is stored over them, or moved there. The map goes on
    /// behind them then.
    async fn ensure(&mut self, map: u8, contents: &Contents) -> bool {
        const ATTEMPTS: usize = 3;
        for _ in 0..ATTEMPTS {
            if self.has_all(map, contents).await == Ok(true) {
                return true;
            }
            self.store(map, Item::Sealer, &contents.sealer).await;
            self.store(map, Item::Opener, &contents.opener).await;
            self.store(map, Item::Keys, &contents.keys.to_bytes()).await;
        }
        self.has_all(map, contents).await == Ok(true)
    }

    async fn erase(&mut self, map: u8) -> Result<(), FlashFailed> {
        self.map(map).ok_or(FlashFailed)?.erase_all().await.map_err(|_| FlashFailed)
    }

    /// Stores `new` in both maps in the place of `old`, and reads it back.
    ///
    /// At any time one of the maps has all of `old` or all of `new`, if one had at the start: that one is not touched before the other
    /// has everything. A map that takes nothing is erased, once until it does.
    pub(crate) async fn save(&mut self, old: Option<&Contents>, new: &Contents) -> Result<(), FlashFailed> {
        let mut has_old = [Ok(false); MAPS as usize];
        if let Some(old) = old {
            has_old = [self.has_all(0, old).await, self.has_all(1, old).await];
            if !has_old.contains(&Ok(true)) && has_old.contains(&Err(FlashFailed)) {
                // The one that cannot be read may be the one that has it.
                return Err(FlashFailed);
            }
        }
        let (first, second) = if has_old[0] == Ok(true) { (1, 0) } else { (0, 1) };
        let is_old_in_second = has_old[usize::from(second)] == Ok(true);
        let mut is_in_first = self.ensure(first, new).await;
        if !is_in_first && is_old_in_second {
            self.erase_once(first).await?;
            is_in_first = self.ensure(first, new).await;
            if !is_in_first {
                return Err(FlashFailed);
            }
        }
        let mut is_in_second = self.ensure(second, new).await;
        if !is_in_second && is_in_first {
            self.erase_once(second).await?;
            is_in_second = self.ensure(second, new).await;
        }
        if !is_in_first || !is_in_second {
            return Err(FlashFailed);
        }
        self.were_erased = [false; MAPS as usize];
        Ok(())
    }

    async fn erase_once(&mut self, map: u8) -> Result<(), FlashFailed> {
        if self.were_erased[usize::from(map)] {
            return Err(FlashFailed);
        }
        self.erase(map).await?;
        self.were_erased[usize::from(map)] = true;
        Ok(())
    }

    /// The keys in each map, and whether both could be read.
    pub(crate) async fn keys(&mut self) -> ([Option<Keys>; MAPS as usize], bool) {
        let (mut keys, mut is_read) = ([None, None], true);
        for (map, keys) in (0..MAPS).zip(&mut keys) {
            match self.fetch(map, Item::Keys).await {
                Ok(found) => *keys = found.and_then(|bytes| Keys::from_bytes(&bytes)),
                Err(FlashFailed) => is_read = false,
            }
        }
        (keys, is_read)
    }

    pub(crate) async fn sealer(&mut self) -> ([[u8; STATE]; MAPS as usize], bool) {
        self.states(Item::Sealer).await
    }

    pub(crate) async fn opener(&mut self) -> ([[u8; STATE]; MAPS as usize], bool) {
        self.states(Item::Opener).await
    }

    /// The states of both maps; ones, as in erased flash, for what is not there. And whether both maps could be read.
    async fn states(&mut self, item: Item) -> ([[u8; STATE]; MAPS as usize], bool) {
        let (mut states, mut is_read) = ([[0xFF; STATE]; MAPS as usize], true);
        for (map, state) in (0..MAPS).zip(&mut states) {
            match self.fetch(map, item).await {
                Ok(Some(found)) => *state = *found,
                Ok(None) => {}
                Err(FlashFailed) => is_read = false,
            }
        }
        (states, is_read)
    }

    /// Takes the keys out of both maps, in each the oldest copy first: a loss of power leaves keys with the newest states, or none.
    ///
    /// To erase pages would not do: the one with the newest states may go before another one that has the keys and older states.
    ///
    /// A map that fails does not keep the keys in the other one.
    pub(crate) async fn remove_keys(&mut self) -> Result<(), FlashFailed> {
        let mut removed = Ok(());
        for map in 0..MAPS {
            let mut buffer = Zeroizing::new([0; BUFFER]);
            let is_removed = match self.map(map) {
                Some(mut storage) => storage.remove_item(&mut *buffer, &(Item::Keys as u8)).await.is_ok(),
                None => false,
            };
            if !is_removed {
                removed = Err(FlashFailed);
            }
        }
        removed
    }

    /// Erases what is left in both maps, such as keys that were removed: to remove an item leaves its bytes.
    pub(crate) async fn erase_leftovers(&mut self) -> Result<(), FlashFailed> {
        for map in 0..MAPS {
            if !self.is_blank(map).await? {
                self.erase(map).await?;
            }
        }
        Ok(())
    }

    async fn is_blank(&mut self, map: u8) -> Result<bool, FlashFailed> {
        // A part of a page, and a multiple of what can be read.
        const PART: usize = 64;
        let mut part = Zeroizing::new([0; PART]);
        for address in self.range(map).ok_or(FlashFailed)?.step_by(PART) {
            self.flash.read(address, &mut *part).await.map_err(|_| FlashFailed)?;
            if part.iter().any(|byte| *byte != 0xFF) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) async fn erase_all(&mut self) -> Result<(), FlashFailed> {
        for map in 0..MAPS {
            self.erase(map).await?;
        }
        Ok(())
    }
}
