use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use sensor_node::frame::{
    COUNTER, DOWN, INSTRUCTION, Instruction, Keys, REPORT, Report, TAG, UP, counter_of,
};
use tempfile::NamedTempFile;
use twine_otr_aead::{BlockLimit, OpenError, Opener, Sealer};
use zeroize::Zeroizing;

use crate::InstructionFrame;

const FAILURES: u32 = <Opener>::FAILURE_LIMIT;
const STATE: usize = 32;
const LEN: usize = Keys::LEN + 2 * STATE;

/// The keys of a node and the states of this end, in a file that is replaced as a whole each time.
#[derive(Debug)]
pub struct Account {
    file: PathBuf,
    keys: Keys,
    sealer: Sealer,
    opener: Opener,
    /// As they are in the file: of the opener, then of the sealer.
    states: [[u8; STATE]; 2],
}

impl Account {
    /// An account with new keys, in a file that is not there yet. It is stored before the keys are given to anybody.
    ///
    /// # Errors
    /// The file is there, there are no random numbers, or the file cannot be written.
    pub fn with_new_keys(file: &Path) -> Result<Self> {
        ensure!(!file.exists(), "{} is there", file.display());
        let mut keys = Keys { up: [0; 16], down: [0; 16], limit: BlockLimit::DEFAULT };
        getrandom::fill(&mut keys.up).context("no random numbers")?;
        getrandom::fill(&mut keys.down).context("no random numbers")?;
        let states = [
            <Opener>::first_state((&keys.up).into(), UP, keys.limit, FAILURES).to_bytes(),
            <Sealer>::first_state((&keys.down).into(), DOWN, keys.limit).to_bytes(),
        ];
        write(file, &keys, &states)?;
        Self::open(file)
    }

    /// The account in the file.
    ///
    /// # Errors
    /// There is none.
    pub fn open(file: &Path) -> Result<Self> {
        let bytes = Zeroizing::new(fs::read(file).with_context(|| format!("no {}", file.display()))?);
        ensure!(bytes.len() == LEN, "{} is no account", file.display());
        let (keys, states) = bytes.split_first_chunk().context("no keys")?;
        let (opener, sealer) = states.split_first_chunk().context("no state")?;
        let states = [*opener, sealer.try_into()?];
        let keys = Keys::from_bytes(keys).context("no keys")?;
        let opener = Opener::restore((&keys.up).into(), UP, keys.limit, FAILURES, &states[..1])?;
        let sealer = Sealer::restore((&keys.down).into(), DOWN, keys.limit, &states[1..])?;
        Ok(Self { file: file.to_owned(), keys, sealer, opener, states })
    }

    /// The frame that gives the keys to a node.
    #[must_use]
    pub fn provision(&self) -> Zeroizing<[u8; sensor_node::frame::MAX_FRAME]> {
        self.keys.to_frame()
    }

    /// The report in a frame.
    ///
    /// # Errors
    /// It is none, or came before, or the file cannot be written.
    pub fn receive(&mut self, frame: &[u8]) -> Result<Report> {
        let [REPORT, a, b, c, sealed @ ..] = frame else { bail!("no report") };
        let (report, tag) = sealed.split_first_chunk::<{ Report::LEN }>().context("too short")?;
        let tag: [u8; TAG] = tag.try_into().context("too long")?;
        let nonce = self.opener.nonce(&[*a, *b, *c]).context("no counter")?;
        for _ in 0..2 {
            self.reserve_to_open()?;
            let mut report = *report;
            let buffer = report.as_mut_slice().into();
            match self.opener.open_inout_detached(&nonce, &[REPORT], buffer, &tag.into()) {
                Ok(()) => return Report::from_bytes(report).context("another version's report"),
                // Genuine, but many counters ahead, as after a restart of the node.
                Err(OpenError::NotReserved) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(OpenError::NotReserved.into())
    }

    fn reserve_to_open(&mut self) -> Result<()> {
        let Self { file, keys, opener, states, .. } = self;
        if opener.reserved_messages() > 0 && opener.reserved_blocks() >= sensor_node::frame::BLOCKS {
            return Ok(());
        }
        opener.reserve(16, 256, |state| {
            states[0] = state.to_bytes();
            write(file, keys, states)
        })
    }

    /// A frame with an instruction, and its counter.
    ///
    /// # Errors
    /// The key is used up, or the file cannot be written.
    pub fn instruct(&mut self, instruction: Instruction) -> Result<(InstructionFrame, u32)> {
        let Self { file, keys, sealer, states, .. } = self;
        if sealer.reserved_blocks() < sensor_node::frame::BLOCKS {
            sealer.reserve(64, |state| {
                states[1] = state.to_bytes();
                write(file, keys, states)
            })?;
        }
        let mut frame = [INSTRUCTION; 1 + COUNTER + Instruction::LEN + TAG];
        frame[4] = instruction as u8;
        let (nonce, tag) = sealer.seal_inout_detached(&[INSTRUCTION], (&mut frame[4..5]).into())?;
        frame[1..4].copy_from_slice(&nonce[4..]);
        frame[5..].copy_from_slice(&tag);
        Ok((frame, counter_of([frame[1], frame[2], frame[3]])))
    }

    /// Gives the file another name.
    pub(crate) fn rename(&mut self, file: &Path) -> Result<()> {
        fs::rename(&self.file, file).with_context(|| format!("cannot rename {}", self.file.display()))?;
        file.clone_into(&mut self.file);
        store_names(file)
    }

    /// Stores what was used and nothing more: the next [`Account::open`] goes on without a gap.
    ///
    /// # Errors
    /// The file cannot be written: then there is a gap.
    pub fn close(self) -> Result<()> {
        let states = [self.opener.suspend().to_bytes(), self.sealer.suspend().to_bytes()];
        write(&self.file, &self.keys, &states)
    }
}

/// Replaces the file, so that a loss of power leaves the old one or the new one. On Unix nobody else can read it.
fn write(file: &Path, keys: &Keys, states: &[[u8; STATE]; 2]) -> Result<()> {
    let mut new = NamedTempFile::new_in(folder(file))?;
    new.write_all(&*keys.to_bytes())?;
    new.write_all(states.as_flattened())?;
    new.as_file().sync_all()?;
    new.persist(file).with_context(|| format!("cannot write {}", file.display()))?;
    store_names(file)
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file's name, and that it has no other one any more, outlives a loss of power.
fn store_names(file: &Path) -> Result<()> {
    #[cfg(unix)]
    fs::File::open(folder(file))?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Witness;
    use sensor_node::frame::Reason;

    #[test]
    fn an_account_goes_on_where_it_was_and_opens_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("account");
        let account = Account::with_new_keys(&file).unwrap();
        let keys = account.keys.clone();
        drop(account);
        let mut node = Sealer::<twine_otr_aead::Twine128Otr>::with_ephemeral_key((&keys.up).into(), UP);
        let mut counters = std::collections::HashSet::new();
        let report = Report { reason: Reason::Reading, acknowledged: None, output: false, reading: Some(1) };
        let mut came = 0;
        for _ in 0..20 {
            let mut account = Account::open(&file).unwrap();
            for _ in 0..70 {
                let mut message = report.to_bytes();
                let (nonce, tag) =
                    node.seal_inout_detached(&[REPORT], message.as_mut_slice().into()).unwrap();
                let frame = [&[REPORT], &nonce[4..], &message, &tag].concat();
                // Those that may have been opened before the last start are refused.
                came += u32::from(account.receive(&frame).is_ok_and(|received| received == report));
                assert!(account.receive(&frame).is_err());
                assert!(counters.insert(account.instruct(Instruction::On).unwrap().1));
            }
        }
        assert!(came > 100, "{came}");
        // After a close nothing is refused that is new. Before the first one, what was reserved is.
        let mut account = Account::open(&file).unwrap();
        for round in 0..40 {
            let mut message = report.to_bytes();
            let (nonce, tag) = node.seal_inout_detached(&[REPORT], message.as_mut_slice().into()).unwrap();
            let frame = [&[REPORT], &nonce[4..], &message, &tag].concat();
            assert!(account.receive(&frame).is_ok() || round < 16);
            if round >= 16 {
                account.close().unwrap();
                account = Account::open(&file).unwrap();
            }
            assert!(account.receive(&frame).is_err());
        }
        // Other keys are others.
        assert!(Account::with_new_keys(&file).is_err());
        let new = Account::with_new_keys(&folder.path().join("other")).unwrap();
        assert_ne!(new.keys, keys);
        assert!(Witness::new(keys).reports() == 0);
    }
}
