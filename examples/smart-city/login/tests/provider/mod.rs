//! The identity provider of the tests, as a process.
#![allow(dead_code, reason = "each user takes its part")]

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

/// What tokens for the gateway of the tests are made for.
pub(crate) const AUDIENCE: &str = "https://gateway.midori.example";

/// It ends with its standard input.
pub(crate) struct Provider {
    process: Child,
    /// Without this it ends as soon as it says something.
    _output: BufReader<ChildStdout>,
    pub(crate) address: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Where it is.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../login/tests/provider")
}

impl Provider {
    pub(crate) fn start() -> Self {
        let folder = folder();
        assert!(
            folder.join("node_modules").exists(),
            "this test takes an identity provider: run `npm ci` in {}, as `cargo xtask test smart-city` does",
            folder.display()
        );
        let own =
            ["x64", "arm64"].map(|kind| folder.join(format!("node_modules/node-linux-{kind}/bin/node")));
        let node = own.into_iter().find(|path| path.exists()).unwrap_or_else(|| "node".into());
        let mut command = Command::new(node);
        command.arg("provider.mjs").current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("this test takes Node.js, as `node`");
        let mut address = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut address).unwrap();
        Self { process, _output: output, address: address.trim().to_owned() }
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        get(&self.address, path)
    }

    /// An access token for a program that is such a client.
    pub(crate) fn machine(&self, client: &str) -> String {
        self.machine_for(client, AUDIENCE)
    }

    pub(crate) fn machine_for(&self, client: &str, audience: &str) -> String {
        token(&self.get(&format!("/test/machine?client={client}&resource={audience}")), "access_token")
    }

    /// An access token and an ID token for a user.
    pub(crate) fn user(&self, name: &str) -> [String; 2] {
        let tokens = self.get(&format!("/test/user?name={name}&resource={AUDIENCE}"));
        ["access_token", "id_token"].map(|name| token(&tokens, name))
    }

    /// What becomes of requests for keys from now on; returns how many there were since this was last said.
    pub(crate) fn keys(&self, answer: &str) -> u64 {
        self.get(&format!("/test/keys?answer={answer}"))["fetches"].as_u64().unwrap()
    }
}

fn token(tokens: &Value, name: &str) -> String {
    tokens[name].as_str().unwrap_or_else(|| panic!("{name}: {tokens}")).to_owned()
}

/// `GET` without a library.
pub(crate) fn get(address: &str, path: &str) -> Value {
    let host = address.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{path}: {answer}");
    serde_json::from_str(body).unwrap()
}
