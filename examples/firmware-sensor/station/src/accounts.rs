use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use sensor_node::frame::{Instruction, MAX_FRAME, Report};
use zeroize::Zeroizing;

use crate::{Account, InstructionFrame};

/// The account of a node in a file, and those with keys that it was given and has not answered under, in files beside it: `.new-1` and so on. At
/// the first report under new keys, their account takes the place of the other one, which is kept as `.old-1` and so on.
#[derive(Debug)]
pub struct Accounts {
    file: PathBuf,
    current: Option<Account>,
    new: Vec<Account>,
    /// Whether the node has reported under the keys of the account, and not said since that it has none.
    is_answered: bool,
    /// Until it is dropped, nobody else opens them.
    _lock: File,
}

impl Accounts {
    /// What is in `file` and beside it; there may be nothing. On Unix, nobody else can open it as long as this is there.
    ///
    /// # Errors
    /// It is open already, a file cannot be read, or is no account.
    pub fn open(file: &Path) -> Result<Self> {
        let lock = lock(file)?;
        let open = |file: &PathBuf| Account::open(file);
        let current = Some(file.to_owned()).filter(|file| file.exists()).as_ref().map(open).transpose()?;
        let new: Vec<Account> = files(file, "new")
            .take(MOST_FILES)
            .filter(|file| file.exists())
            .map(|file| open(&file))
            .collect::<Result<_>>()?;
        Ok(Self { file: file.to_owned(), current, new, is_answered: false, _lock: lock })
    }

    /// Whether there are keys that the node has answered under, now or earlier.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.current.is_some()
    }

    /// The frame that gives new keys to a node. They are stored before, beside all that there is.
    ///
    /// # Errors
    /// The node has reported under its keys, and takes no others; or see [`Account::with_new_keys`].
    pub fn new_keys(&mut self) -> Result<Zeroizing<[u8; MAX_FRAME]>> {
        ensure!(!self.is_answered, "the node has keys: it takes others when it has forgotten these");
        let new = Account::with_new_keys(&free(&self.file, "new")?)?;
        let frame = new.provision();
        self.new.push(new);
        Ok(frame)
    }

    /// The node says that it has no keys. Anybody can say so: nothing is lost if it is not true.
    pub fn see_no_keys(&mut self) {
        self.is_answered = false;
    }

    /// The report in a frame. If it is the first one under new keys, their account takes the place of the other one.
    ///
    /// # Errors
    /// See [`Account::receive`], or a file cannot be renamed.
    pub fn receive(&mut self, frame: &[u8]) -> Result<Report> {
        let result =
            self.current.as_mut().context("there are no keys").and_then(|current| current.receive(frame));
        let report = match result {
            Ok(report) => report,
            Err(error) => {
                let mut new = self.new.iter_mut().enumerate();
                let found = new.find_map(|(i, new)| Some((i, new.receive(frame).ok()?)));
                let Some((i, report)) = found else { return Err(error) };
                self.replace(i)?;
                report
            }
        };
        self.is_answered = true;
        Ok(report)
    }

    /// If the power is lost in between, the next report under the new keys goes on with it.
    fn replace(&mut self, i: usize) -> Result<()> {
        let mut current = self.new.remove(i);
        for mut old in self.current.take().into_iter().chain(self.new.drain(..)) {
            old.rename(&free(&self.file, "old")?)?;
        }
        current.rename(&self.file)?;
        self.current = Some(current);
        Ok(())
    }

    /// See [`Account::instruct`].
    ///
    /// # Errors
    /// There are no keys that the node has answered under; or see there.
    pub fn instruct(&mut self, instruction: Instruction) -> Result<(InstructionFrame, u32)> {
        self.current.as_mut().context("there are no keys yet: type keys")?.instruct(instruction)
    }

    /// See [`Account::close`].
    ///
    /// # Errors
    /// See there.
    pub fn close(self) -> Result<()> {
        self.current.into_iter().chain(self.new).try_for_each(Account::close)
    }
}

/// Two that go on from the same states would repeat nonces.
fn lock(file: &Path) -> Result<File> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let lock = File::options().create(true).write(true).truncate(false).open(&name)?;
    #[cfg(unix)]
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("another station has {}", file.display()))?;
    Ok(lock)
}

/// More of a kind are not beside an account.
const MOST_FILES: usize = 1_000;

fn files(file: &Path, kind: &str) -> impl Iterator<Item = PathBuf> {
    (1..).map(move |i| {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{kind}-{i}"));
        name.into()
    })
}

/// A file of a kind that is not there.
fn free(file: &Path, kind: &str) -> Result<PathBuf> {
    let mut free = files(file, kind).take(MOST_FILES).filter(|file| !fs::exists(file).unwrap_or(true));
    free.next().with_context(|| format!("too many files {}.{kind}-*", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensor_node::frame::{Keys, REPORT, Reason, UP};
    use twine_otr_aead::Sealer;

    /// A node that has taken these keys, as far as a station sees.
    struct Node(Sealer);

    impl Node {
        fn new(frame: &[u8]) -> Self {
            let keys = Keys::from_frame(frame).unwrap();
            Self(Sealer::with_ephemeral_key((&keys.up).into(), UP))
        }

        fn report(&mut self) -> Vec<u8> {
            let report =
                Report { reason: Reason::Started, acknowledged: None, output: false, reading: Some(1) };
            let mut message = report.to_bytes();
            let (nonce, tag) = self.0.seal_inout_detached(&[REPORT], message.as_mut_slice().into()).unwrap();
            [&[REPORT], &nonce[4..], &message, &tag].concat()
        }
    }

    #[test]
    fn new_keys_leave_the_old_ones_until_the_node_answers_under_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("account");
        let mut accounts = Accounts::open(&file).unwrap();
        assert!(accounts.receive(&[]).is_err() && accounts.instruct(Instruction::On).is_err());
        let mut node = Node::new(&*accounts.new_keys().unwrap());
        assert!(!file.exists());
        // Another station does not get it.
        assert!(Accounts::open(&file).is_err());
        accounts.receive(&node.report()).unwrap();
        assert!(accounts.has_keys() && file.exists());
        // It answers: it would take no others.
        assert!(accounts.new_keys().is_err());
        drop(accounts);

        // After a start the station does not know whether it answers, and the node takes none.
        let mut accounts = Accounts::open(&file).unwrap();
        accounts.new_keys().unwrap();
        let lost = accounts.new_keys().unwrap();
        drop(accounts);
        let mut accounts = Accounts::open(&file).unwrap();
        let is_opened = (0..100).any(|_| accounts.receive(&node.report()).is_ok());
        assert!(is_opened && accounts.new_keys().is_err());
        assert!(accounts.instruct(Instruction::Forget).is_ok());

        // It has forgotten them, and took those of which the station did not see the report.
        accounts.see_no_keys();
        accounts.new_keys().unwrap();
        let mut other = Node::new(&*lost);
        accounts.receive(&other.report()).unwrap();
        assert!(accounts.receive(&node.report()).is_err());
        accounts.close().unwrap();
        let mut accounts = Accounts::open(&file).unwrap();
        accounts.receive(&other.report()).unwrap();
        // All others are kept, under other names.
        let (new, old) = (files(&file, "new").take(9), files(&file, "old").take(9));
        assert_eq!([new, old].map(|files| files.filter(|file| file.exists()).count()), [0, 3]);
    }
}
