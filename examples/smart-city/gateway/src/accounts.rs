//! Accounts at Mosquitto, by its plugin `dynamic-security`: the same users and devices with the same passwords as in `secrets.toml`.
//!
//! At each connection and each change of the file the gateway compares what the plugin has with the file, creates, changes and
//! deletes. Who is changed or deleted loses the connection at once. Which password an account has is told by a keyed hash in its
//! description, so nothing is sent that is there already. An account that floods is shut out for a while.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rumqttc::{AsyncClient, PublishOptions, QoS};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, sleep_until, timeout},
};

use crate::config::{GATEWAY_USER, Secret, Secrets, parse_device_id};

/// Where the plugin takes commands.
const COMMANDS: &str = "$CONTROL/dynamic-security/v1";

/// Where it answers.
pub(crate) const RESPONSES: &str = "$CONTROL/dynamic-security/v1/response";

/// Accounts in one answer, and commands in one request: a packet has at most 4,096 bytes.
const PAGE: usize = 8;

/// How long an account is shut out that sends more than it may, for the first time and at most.
const SHUT_OUT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// What the plugin is asked.
#[derive(Debug)]
pub(crate) struct Requests {
    client: AsyncClient,
    responses: mpsc::Receiver<Vec<u8>>,
    number: u64,
}

impl Requests {
    pub(crate) fn new(client: AsyncClient, responses: mpsc::Receiver<Vec<u8>>) -> Self {
        Self { client, responses, number: 0 }
    }

    /// Sends commands and returns their answers.
    async fn ask(&mut self, mut commands: Vec<Value>) -> Result<Vec<Value>> {
        self.number += 1;
        let number = self.number.to_string();
        for command in &mut commands {
            command["correlationData"] = json!(number);
        }
        let count = commands.len();
        let request = json!({ "commands": commands }).to_string();
        self.client.publish(COMMANDS, request, PublishOptions::new(QoS::AtLeastOnce)).await?;
        let answer = async {
            while let Some(response) = self.responses.recv().await {
                let mut response: Value = serde_json::from_slice(&response)?;
                let Value::Array(answers) = response["responses"].take() else { continue };
                if answers.first().is_some_and(|answer| answer["correlationData"] == number) {
                    ensure!(answers.len() == count, "{} answers to {count} commands", answers.len());
                    return Ok(answers);
                }
            }
            bail!("the gateway is ending")
        };
        timeout(Duration::from_secs(5), answer).await.context("no answer")?
    }

    /// Sends commands of which none may fail.
    async fn command(&mut self, commands: Vec<Value>) -> Result<()> {
        for answer in self.ask(commands).await? {
            if let Some(error) = answer["error"].as_str() {
                bail!("{}: {error}", answer["command"]);
            }
        }
        Ok(())
    }
}

/// Tells which password an account has, to those alone who know the gateway's.
fn tag(secrets: &Secrets, name: &str, password: &str) -> String {
    let mut hash = Sha256::new();
    for part in [secrets.gateway_password.as_str(), name, password] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

fn role(name: &str) -> &'static str {
    if parse_device_id(name).is_some() { "device" } else { "user" }
}

/// What `mosquitto.acl` allows to both, each role denies to one: patterns cannot tell devices from users.
fn roles() -> Vec<Value> {
    let deny =
        |kind: &str, topic: &str| json!({ "acltype": kind, "topic": topic, "priority": 0, "allow": false });
    let closed = ["publishClientSend", "publishClientReceive", "subscribe"];
    let closed = closed.map(|kind| json!({ "acltype": kind, "allow": false }));
    vec![
        json!({ "command": "setDefaultACLAccess", "acls": closed }),
        json!({ "command": "createRole", "rolename": "device", "acls": [deny("publishClientReceive", "out/#")] }),
        json!({ "command": "createRole", "rolename": "user",
                "acls": [deny("publishClientSend", "#"), deny("publishClientReceive", "down/#")] }),
    ]
}

/// What makes an account right: with `password`, or gone.
fn corrections(secrets: &Secrets, client: &Value, name: &str, password: Option<&Secret>) -> Vec<Value> {
    let Some(password) = password else {
        return vec![json!({ "command": "deleteClient", "username": name })];
    };
    let mut commands = Vec::new();
    let tag = tag(secrets, name, password.as_str());
    if client["textdescription"] != tag {
        commands.push(json!({ "command": "modifyClient", "username": name, "password": password.as_str(),
                              "textdescription": tag, "roles": [{ "rolename": role(name) }] }));
    }
    if client["disabled"] == true {
        commands.push(json!({ "command": "enableClient", "username": name }));
    }
    commands
}

/// Makes the accounts of the plugin those of `secrets`.
async fn synchronise(requests: &mut Requests, secrets: &Secrets) -> Result<()> {
    // That a role is there already is no fault.
    requests.ask(roles()).await?;
    let devices = secrets.devices.iter().map(|(id, (_, password))| (id.to_string(), password));
    let users = secrets.users.iter().map(|(name, password)| (name.clone(), password));
    let mut missing: BTreeMap<String, _> = devices.chain(users).collect();
    let (mut offset, mut commands) = (0, Vec::new());
    loop {
        let list = json!({ "command": "listClients", "verbose": true, "count": PAGE, "offset": offset });
        let answers = requests.ask(vec![list]).await?;
        let clients = answers[0]["data"]["clients"].as_array().context("it lists no accounts")?;
        for client in clients {
            let name = client["username"].as_str().context("an account without a name")?;
            if name != GATEWAY_USER {
                commands.extend(corrections(secrets, client, name, missing.remove(name)));
            }
        }
        if clients.len() < PAGE {
            break;
        }
        offset += PAGE;
    }
    for (name, password) in missing {
        commands.push(json!({ "command": "createClient", "username": name, "password": password.as_str(),
                              "textdescription": tag(secrets, &name, password.as_str()),
                              "roles": [{ "rolename": role(&name) }] }));
    }
    let count = commands.len();
    for commands in commands.chunks(PAGE) {
        requests.command(commands.to_vec()).await?;
    }
    tracing::info!(changed = count, "the broker has the accounts of secrets.toml");
    Ok(())
}

/// Keeps the accounts until there is a new connection; calls `done` when they are there for the first time, or cannot be.
pub(crate) async fn keep(
    requests: &mut Requests,
    secrets: &mut watch::Receiver<Arc<Secrets>>,
    floods: &mut mpsc::Receiver<String>,
    connected: &mut watch::Receiver<()>,
    done: impl Fn() -> bool,
) {
    // When each shut-out account comes back, and how long it was away the last time.
    let mut shut_out: BTreeMap<String, (Option<Instant>, Duration, Instant)> = BTreeMap::new();
    let mut current = Some(secrets.borrow_and_update().clone());
    loop {
        let result = async {
            if let Some(secrets) = current.take() {
                synchronise(requests, &secrets).await?;
                // It has enabled all.
                shut_out.clear();
                done();
            }
            let next = shut_out.iter().filter_map(|(name, (until, ..))| Some((until.as_ref()?, name))).min();
            let next = next.map(|(until, name)| (*until, name.clone()));
            let comes_back = async {
                match next {
                    Some((until, name)) => {
                        sleep_until(until.into()).await;
                        name
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = secrets.changed() => {
                    changed?;
                    current = Some(secrets.borrow_and_update().clone());
                }
                _ = connected.changed() => {
                    connected.mark_changed();
                    return Ok(false);
                }
                Some(name) = floods.recv() => {
                    let now = Instant::now();
                    let pause = match shut_out.get(&name) {
                        Some((Some(_), ..)) => return Ok(true),
                        Some((None, pause, since)) if since.elapsed() < 10 * *pause => (2 * *pause).min(SHUT_OUT[1]),
                        _ => SHUT_OUT[0],
                    };
                    tracing::warn!(account = name, ?pause, "shut out: it sends more than it may");
                    requests.command(vec![json!({ "command": "disableClient", "username": name })]).await?;
                    shut_out.insert(name, (Some(now + pause), pause, now));
                }
                name = comes_back => {
                    requests.command(vec![json!({ "command": "enableClient", "username": name })]).await?;
                    if let Some(entry) = shut_out.get_mut(&name) {
                        *entry = (None, entry.1, Instant::now());
                    }
                }
            }
            anyhow::Ok(true)
        };
        match result.await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::error!("the accounts at the broker are not those of secrets.toml: {error:#}");
                done();
                tokio::select! {
                    // It may be for that: nothing is subscribed to any more, and no answer comes.
                    _ = connected.changed() => {
                        connected.mark_changed();
                        return;
                    }
                    () = sleep(Duration::from_secs(5)) => {}
                }
                current = Some(secrets.borrow_and_update().clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rumqttc::MqttOptions;

    use super::*;
    use crate::config::City;

    fn secrets() -> Secrets {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("example");
        let city = City::read(&dir.join("city.toml")).unwrap();
        Secrets::read(&dir.join("secrets.toml"), &city).unwrap()
    }

    #[tokio::test]
    async fn each_request_takes_its_own_answer() {
        let options = MqttOptions::new("test", ("127.0.0.1", 1));
        // What is sent stays in its queue.
        let (client, _event_loop) = AsyncClient::builder(options).capacity(8).build();
        let (responses, receiver) = mpsc::channel(8);
        let mut requests = Requests::new(client, receiver);
        let answer = |number: &str, data: &str, error: Option<&str>| {
            let answer = json!({ "command": "x", "correlationData": number, "data": data, "error": error });
            responses.try_send(json!({ "responses": [answer] }).to_string().into_bytes()).unwrap();
        };
        let command = || vec![json!({ "command": "x" })];
        answer("1", "first", None);
        assert_eq!(requests.ask(command()).await.unwrap()[0]["data"], "first");
        answer("1", "late", None);
        responses.try_send(b"{}".to_vec()).unwrap();
        answer("2", "second", None);
        assert_eq!(requests.ask(command()).await.unwrap()[0]["data"], "second");
        answer("3", "", None);
        requests.command(command()).await.unwrap();
        answer("4", "", Some("it cannot be"));
        assert!(requests.command(command()).await.unwrap_err().to_string().contains("it cannot be"));
        answer("5", "", None);
        let two = [command(), command()].concat();
        assert!(requests.ask(two).await.unwrap_err().to_string().contains("1 answers to 2 commands"));
    }

    #[test]
    fn an_account_that_is_wrong_is_put_right() {
        let secrets = secrets();
        let password = &secrets.users["hana"];
        let right = tag(&secrets, "hana", password.as_str());
        for (what, password, description, disabled, expected) in [
            ("as it should be", Some(password), right.as_str(), false, &[][..]),
            ("another password", Some(password), "", false, &["modifyClient"]),
            ("shut out", Some(password), &right, true, &["enableClient"]),
            ("both", Some(password), "", true, &["modifyClient", "enableClient"]),
            ("gone", None, &right, false, &["deleteClient"]),
        ] {
            let client = json!({ "username": "hana", "textdescription": description, "disabled": disabled });
            let commands = corrections(&secrets, &client, "hana", password);
            let names: Vec<&str> =
                commands.iter().map(|command| command["command"].as_str().unwrap()).collect();
            assert_eq!(names, expected, "{what}");
            assert!(commands.iter().all(|command| command["username"] == "hana"));
        }
        // The plugin leaves out what is not so.
        assert!(
            corrections(&secrets, &json!({ "textdescription": right }), "hana", Some(password)).is_empty()
        );
    }

    #[test]
    fn a_tag_tells_one_password_of_one_account() {
        let secrets = secrets();
        let tags = [("hana", "a"), ("hana", "b"), ("ren", "a"), ("hanaa", "")];
        let tags = tags.map(|(name, password)| tag(&secrets, name, password));
        assert!((0..4).all(|i| tags[i].len() == 32 && tags[..i].iter().all(|other| *other != tags[i])));
    }
}
