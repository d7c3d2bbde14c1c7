//! A PostgreSQL server of Debian's package, in a directory of its own, for as long as a test uses it.
#![allow(unreachable_pub, reason = "as of what is common")]

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use smart_city_store_postgres::{Database, Limits};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Where its programs are.
fn programs() -> PathBuf {
    let folders = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = folders.filter_map(|folder| Some((version(&folder.path())?, folder.path().join("bin"))));
    versions
        .max()
        .map(|(_, folder)| folder)
        .expect("PostgreSQL is missing (Debian: apt-get install postgresql)")
}

/// Its server refuses to run as root: then the account that the package has made runs it.
pub fn account() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let account =
        accounts.lines().find_map(|line| line.strip_prefix("postgres:")).expect("no account `postgres`");
    let mut numbers = account.split(':').skip(1).map(|number| number.parse().unwrap());
    Some((numbers.next().unwrap(), numbers.next().unwrap()))
}

pub struct Cluster {
    dir: TempDir,
    port: u16,
    options: Vec<String>,
    server: Mutex<Child>,
}

impl Cluster {
    /// One that all tests that run at the time share.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            // Some tests have several gateways, each with several connections.
            let new = Arc::new(Self::start(5432, &["max_connections=300"]));
            *shared = Arc::downgrade(&new);
            new
        })
    }

    pub fn start(port: u16, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if let Some((user, group)) = account() {
            chown(dir.path(), Some(user), Some(group)).unwrap();
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let made = program("initdb")
            .args(["--username", "city", "--auth", "trust", "--no-sync", "--pgdata"])
            .arg(dir.path().join("data"))
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let server = Mutex::new(serve(dir.path(), port, &options));
        let cluster = Self { dir, port, options, server };
        cluster.wait();
        cluster
    }

    /// The directory of its socket.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until it takes connections.
    pub fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        let is_ready = || {
            program("pg_isready")
                .arg("-q")
                .args(["-p", &self.port.to_string(), "-h"])
                .arg(self.dir())
                .status()
                .unwrap()
                .success()
        };
        while !is_ready() {
            assert!(Instant::now() < end, "PostgreSQL does not start");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as a loss of power does, and starts it again after a pause, beside the test.
    pub fn crash(&self, pause: Duration) {
        let mut server = self.server.lock().unwrap();
        self.stop();
        server.wait().unwrap();
        thread::sleep(pause);
        *server = serve(self.dir(), self.port, &self.options);
    }

    fn stop(&self) {
        let data = self.dir().join("data");
        let stopped = program("pg_ctl")
            .args(["--mode", "immediate", "--silent", "stop", "--pgdata"])
            .arg(data)
            .status();
        assert!(stopped.unwrap().success());
    }

    /// The address of a new, empty database.
    pub fn address(&self) -> String {
        let name = format!("test{}", DATABASES.fetch_add(1, Relaxed));
        self.run(&format!("{} dbname=postgres", self.host()), &format!("create database {name}"));
        format!("{} dbname={name}", self.host())
    }

    fn host(&self) -> String {
        format!("host={} user=city", self.dir().display())
    }

    pub fn database(&self) -> Database {
        Database::new(&self.address(), None, None, Limits::default()).unwrap()
    }

    /// Runs SQL.
    pub fn run(&self, address: &str, sql: &str) {
        with(address, async |client| client.batch_execute(sql).await.unwrap());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        self.server.lock().unwrap().wait().unwrap();
    }
}

fn serve(dir: &Path, port: u16, options: &[String]) -> Child {
    let mut server = program("postgres");
    server.arg("-D").arg(dir.join("data")).arg("-k").arg(dir).arg("-p").arg(port.to_string()).args([
        "-c",
        "listen_addresses=",
        "-c",
        "log_statement=none",
    ]);
    for option in options {
        server.args(["-c", option]);
    }
    let log = fs::File::create(dir.join("log")).unwrap();
    // Ctrl-C at a terminal is for who has started it.
    server.stdout(Stdio::null()).stderr(log).process_group(0).spawn().unwrap()
}

fn program(name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").env("LC_ALL", "C");
    command
}

/// Does something over a connection of its own.
pub fn with<T>(address: &str, work: impl AsyncFnOnce(&Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
        tokio::spawn(connection);
        work(&client).await
    })
}
