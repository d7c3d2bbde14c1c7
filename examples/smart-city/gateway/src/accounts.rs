//! Accounts at Mosquitto, by its plugin `dynamic-security`: the same users and devices with the same passwords as in `secrets.toml`.
//!
//! At each connection, each change of the file and once an hour the gateway compares what the plugin has with the file, and creates,
//! changes and deletes: accounts, their roles and passwords, and what the roles deny. Who is changed or deleted loses the connection at
//! once. The plugin tells no password. Which one the gateway has given to an account is told by a keyed hash in its description; that
//! nobody has given it another one is found by logging in, at a socket where that ends nobody's session (see `mosquitto.conf`).
//! An account that floods is shut out for a while.
//!
//! Several gateways do this for themselves, with the same files. What another one has done meanwhile is done, and whom it may have shut out
//! stays so for as long as it may.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rumqttc::{AsyncClient, Broker, ConnectReturnCode, ConnectionError, MqttOptions, PublishOptions, QoS};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use smart_city_engine::config::{GATEWAY_USER, Secret, Secrets, parse_device_id};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

/// Where the plugin takes commands.
const COMMANDS: &str = "$CONTROL/dynamic-security/v1";

/// Where it answers.
pub(crate) const RESPONSES: &str = "$CONTROL/dynamic-security/v1/response";

/// Accounts in one answer, and commands in one request: a packet has at most 4,096 bytes.
const PAGE: usize = 8;

/// How long an account is shut out that sends more than it may, for the first time and at most.
const SHUT_OUT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// The time between two comparisons, if nothing else makes one due.
pub(crate) const AGAIN: Duration = Duration::from_secs(3600);

/// How long an answer of the broker may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The client id with which passwords are tried. No account has this name.
const TRIAL: &str = "gateway tries a password";

/// The plugin.
pub(crate) trait Plugin {
    /// Sends commands and returns their answers.
    fn ask(&mut self, commands: Vec<Value>) -> impl Future<Output = Result<Vec<Value>>> + Send;

    /// Whether the broker lets an account in; none if there is no way to try it.
    fn lets_in(&self, name: &str, password: &Secret) -> impl Future<Output = Result<Option<bool>>> + Send;
}

/// What the plugin is asked, over the gateway's connection.
#[derive(Debug)]
pub(crate) struct Requests {
    client: AsyncClient,
    responses: mpsc::Receiver<Vec<u8>>,
    /// The socket where passwords are tried.
    passwords: Option<PathBuf>,
    number: u64,
}

impl Requests {
    pub(crate) fn new(
        client: AsyncClient,
        responses: mpsc::Receiver<Vec<u8>>,
        passwords: Option<PathBuf>,
    ) -> Self {
        Self { client, responses, passwords, number: 0 }
    }
}

impl Plugin for Requests {
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
        timeout(PATIENCE, answer).await.context("no answer")?
    }

    async fn lets_in(&self, name: &str, password: &Secret) -> Result<Option<bool>> {
        let Some(socket) = &self.passwords else { return Ok(None) };
        let mut options = MqttOptions::new(TRIAL, Broker::unix(socket));
        options.set_credentials(name, password.as_str().to_owned());
        let (_client, mut events) = AsyncClient::builder(options).capacity(1).build();
        match timeout(PATIENCE, events.poll()).await.context("no answer")? {
            Ok(_) => Ok(Some(true)),
            Err(ConnectionError::ConnectionRefused(
                ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword,
            )) => Ok(Some(false)),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the plugin says if another gateway has made or deleted it since it was looked at.
const DONE: [(&str, &str); 3] = [
    ("createClient", "Client already exists"),
    ("createRole", "Role already exists"),
    ("deleteClient", "Client not found"),
];

/// Sends commands of which none may fail.
async fn command(plugin: &mut impl Plugin, commands: Vec<Value>) -> Result<()> {
    for answer in plugin.ask(commands).await? {
        let command = answer["command"].as_str().unwrap_or_default();
        if let Some(error) = answer["error"].as_str().filter(|error| !DONE.contains(&(command, error))) {
            bail!("{command}: {error}");
        }
    }
    Ok(())
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
fn roles() -> [(&'static str, Vec<Value>); 2] {
    let deny =
        |kind: &str, topic: &str| json!({ "acltype": kind, "topic": topic, "priority": 0, "allow": false });
    [
        ("device", vec![deny("publishClientReceive", "out/#")]),
        ("user", vec![deny("publishClientSend", "#"), deny("publishClientReceive", "down/#")]),
    ]
}

/// Makes the roles right, and what is allowed without one.
async fn put_roles_right(plugin: &mut impl Plugin) -> Result<usize> {
    let closed = ["publishClientSend", "publishClientReceive", "subscribe"];
    let closed = closed.map(|kind| json!({ "acltype": kind, "allow": false }));
    command(plugin, vec![json!({ "command": "setDefaultACLAccess", "acls": closed })]).await?;
    let mut commands = Vec::new();
    for (name, acls) in roles() {
        let answers = plugin.ask(vec![json!({ "command": "getRole", "rolename": name })]).await?;
        let what = if answers[0]["error"].is_string() { "createRole" } else { "modifyRole" };
        // In any order.
        let is_right = answers[0]["data"]["role"]["acls"]
            .as_array()
            .is_some_and(|found| found.len() == acls.len() && acls.iter().all(|acl| found.contains(acl)));
        if !is_right {
            commands.push(json!({ "command": what, "rolename": name, "acls": acls }));
        }
    }
    let count = commands.len();
    if count > 0 {
        command(plugin, commands).await?;
    }
    Ok(count)
}

/// A command about an account that has, or gets, all that is the gateway's to say.
fn account(command: &str, secrets: &Secrets, name: &str, password: &Secret) -> Value {
    let password = password.as_str();
    json!({ "command": command, "username": name, "password": password, "textdescription": tag(secrets, name, password),
            "clientid": "", "groups": [], "roles": [{ "rolename": role(name) }] })
}

/// What makes an account right: with `password`, or gone.
fn corrections(
    secrets: &Secrets,
    client: &Value,
    name: &str,
    password: Option<&Secret>,
    is_shut_out: bool,
) -> Vec<Value> {
    let Some(password) = password else {
        return vec![json!({ "command": "deleteClient", "username": name })];
    };
    let mut commands = Vec::new();
    let right = account("modifyClient", secrets, name, password);
    let list = |field: &str| client[field].as_array().map_or(&[][..], Vec::as_slice);
    let is_right = client["textdescription"] == right["textdescription"]
        && matches!(list("roles"), [only] if only["rolename"] == role(name))
        && list("groups").is_empty()
        && client["clientid"].as_str().unwrap_or_default().is_empty();
    if !is_right {
        commands.push(right);
    }
    if client["disabled"] == true && !is_shut_out {
        commands.push(json!({ "command": "enableClient", "username": name }));
    }
    commands
}

/// Everybody's password.
fn accounts(secrets: &Secrets) -> BTreeMap<String, &Secret> {
    let devices = secrets.devices.iter().map(|(id, (_, password))| (id.to_string(), password));
    let users = secrets.users.iter().map(|(name, password)| (name.clone(), password));
    devices.chain(users).collect()
}

fn password_of<'s>(name: &str, secrets: &'s Secrets) -> Option<&'s Secret> {
    match parse_device_id(name) {
        Some(device) => secrets.devices.get(&device).map(|(_, password)| password),
        None => secrets.users.get(name),
    }
}

/// Accounts that were shut out: when each comes back, how long it is away, and since when it is what it is.
type ShutOut = BTreeMap<String, (Option<Instant>, Duration, Instant)>;

/// Makes the accounts of the plugin those of `secrets`, and returns how many commands that took. If there are other gateways, one of them
/// may have shut an account out.
async fn synchronise(
    plugin: &mut impl Plugin,
    secrets: &Secrets,
    shut_out: &mut ShutOut,
    are_others: bool,
) -> Result<usize> {
    let mut count = put_roles_right(plugin).await?;
    let mut missing = accounts(secrets);
    shut_out.retain(|name, _| missing.contains_key(name));
    let (mut offset, mut commands) = (0, Vec::new());
    loop {
        let list = json!({ "command": "listClients", "verbose": true, "count": PAGE, "offset": offset });
        let answers = plugin.ask(vec![list]).await?;
        let clients = answers[0]["data"]["clients"].as_array().context("it lists no accounts")?;
        for client in clients {
            let name = client["username"].as_str().context("an account without a name")?;
            if name != GATEWAY_USER {
                let password = missing.remove(name);
                let mut is_shut_out = shut_out.get(name).is_some_and(|(until, ..)| until.is_some());
                if are_others && client["disabled"] == true && password.is_some() && !is_shut_out {
                    let now = Instant::now();
                    shut_out.insert(name.to_owned(), (Some(now + SHUT_OUT[1]), SHUT_OUT[0], now));
                    is_shut_out = true;
                }
                commands.extend(corrections(secrets, client, name, password, is_shut_out));
            }
        }
        if clients.len() < PAGE {
            break;
        }
        offset += PAGE;
    }
    for (name, password) in missing {
        commands.push(account("createClient", secrets, &name, password));
    }
    count += commands.len();
    for commands in commands.chunks(PAGE) {
        command(plugin, commands.to_vec()).await?;
    }
    Ok(count)
}

/// Keeps the accounts until there is a new connection, and compares them every `interval`; says each time whether they are there. Other
/// gateways may do so too.
pub(crate) async fn keep(
    plugin: &mut impl Plugin,
    secrets: &mut watch::Receiver<Arc<Secrets>>,
    floods: &mut mpsc::Receiver<String>,
    connected: &watch::Receiver<()>,
    (interval, are_others): (Duration, bool),
    tried: impl Fn(bool),
) {
    let mut shut_out = ShutOut::new();
    let mut known = secrets.borrow_and_update().clone();
    let mut current = Some(known.clone());
    // Whose passwords are to be tried.
    let mut trials = VecDeque::new();
    // Each comparison sets it anew.
    let mut again = Instant::now();
    loop {
        let result = async {
            if let Some(secrets) = current.take() {
                let changed = synchronise(plugin, &secrets, &mut shut_out, are_others).await?;
                tracing::info!(changed, "the broker has the accounts of secrets.toml");
                again = Instant::now() + interval;
                trials = accounts(&secrets).into_keys().collect();
                known = secrets;
                tried(true);
            }
            let next = shut_out.iter().filter_map(|(name, (until, ..))| Some((until.as_ref()?, name))).min();
            let next = next.map(|(until, name)| (*until, name.clone()));
            let comes_back = async {
                match next {
                    Some((until, name)) => {
                        sleep_until(until).await;
                        name
                    }
                    None => std::future::pending().await,
                }
            };
            let next = trials.front().and_then(|name: &String| Some((name, password_of(name, &known)?)));
            let trial = async {
                match next {
                    Some((name, password)) => plugin.lets_in(name, password).await,
                    None => std::future::pending().await,
                }
            };
            // One trial at a time, which everything else may interrupt.
            tokio::select! {
                is_let_in = trial => {
                    let is_out = |name: &String| shut_out.get(name).is_some_and(|(until, ..)| until.is_some());
                    match (is_let_in, next) {
                        (Ok(Some(false)), Some((name, password))) if !is_out(name) => {
                            tracing::warn!(account = name, "somebody else has changed its password: it is set again");
                            command(plugin, vec![account("modifyClient", &known, name, password)]).await?;
                        }
                        (Ok(None), _) => trials.clear(),
                        (Ok(_), _) => {}
                        (Err(error), _) => tracing::error!("a password that others changed is not found: {error:#}"),
                    }
                    trials.pop_front();
                }
                changed = secrets.changed() => {
                    changed?;
                    current = Some(secrets.borrow_and_update().clone());
                }
                () = sleep_until(again) => current = Some(secrets.borrow_and_update().clone()),
                Some(name) = floods.recv() => {
                    let now = Instant::now();
                    let pause = match shut_out.get(&name) {
                        Some((Some(_), ..)) => return Ok(()),
                        Some((None, pause, since)) if since.elapsed() < 10 * *pause => (2 * *pause).min(SHUT_OUT[1]),
                        _ => SHUT_OUT[0],
                    };
                    tracing::warn!(account = name, ?pause, "shut out: it sends more than it may");
                    command(plugin, vec![json!({ "command": "disableClient", "username": name })]).await?;
                    shut_out.insert(name, (Some(now + pause), pause, now));
                }
                name = comes_back => {
                    command(plugin, vec![json!({ "command": "enableClient", "username": name })]).await?;
                    if let Some(entry) = shut_out.get_mut(&name) {
                        *entry = (None, entry.1, Instant::now());
                    }
                }
            }
            anyhow::Ok(())
        };
        // Another receiver, so that `connected` still has it before it.
        let mut anew = connected.clone();
        let result = tokio::select! {
            result = result => result,
            // To what was asked for over the connection before, no answer comes.
            _ = anew.changed() => return,
        };
        if let Err(error) = result {
            tracing::error!("the accounts at the broker are not those of secrets.toml: {error:#}");
            tried(false);
            tokio::select! {
                _ = anew.changed() => return,
                () = sleep(Duration::from_secs(5)) => {}
            }
            current = Some(secrets.borrow_and_update().clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Mutex};

    use super::*;
    use smart_city_engine::config::City;

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
        let mut requests = Requests::new(client, receiver, None);
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
        super::command(&mut requests, command()).await.unwrap();
        answer("4", "", Some("it cannot be"));
        assert!(
            super::command(&mut requests, command()).await.unwrap_err().to_string().contains("it cannot be")
        );
        answer("5", "", None);
        let two = [command(), command()].concat();
        assert!(requests.ask(two).await.unwrap_err().to_string().contains("1 answers to 2 commands"));
    }

    #[test]
    fn an_account_that_is_wrong_is_put_right() {
        let secrets = secrets();
        let password = &secrets.users["hana"];
        let right = json!({ "username": "hana", "textdescription": tag(&secrets, "hana", password.as_str()),
                            "roles": [{ "rolename": "user" }], "groups": [] });
        let (modify, enable) = (&["modifyClient"][..], &["enableClient"][..]);
        for (field, value, expected) in [
            // The plugin leaves out what is not so.
            ("disabled", Value::Null, &[][..]),
            ("disabled", json!(false), &[]),
            ("clientid", json!(""), &[]),
            ("roles", json!([{ "rolename": "user", "priority": 3 }]), &[]),
            ("disabled", json!(true), enable),
            ("textdescription", Value::Null, modify),
            ("textdescription", json!("0123"), modify),
            ("clientid", json!("ren"), modify),
            ("groups", json!([{ "groupname": "all" }]), modify),
            ("roles", json!([]), modify),
            ("roles", json!([{ "rolename": "device" }]), modify),
            ("roles", json!([{ "rolename": "user" }, { "rolename": "admin" }]), modify),
        ] {
            for is_shut_out in [false, true] {
                let mut client = right.clone();
                client[field] = value.clone();
                let commands = corrections(&secrets, &client, "hana", Some(password), is_shut_out);
                let names: Vec<&str> =
                    commands.iter().map(|command| command["command"].as_str().unwrap()).collect();
                let stays = is_shut_out && expected == enable;
                assert_eq!(names, if stays { &[] } else { expected }, "{field}: {value}");
                assert!(commands.iter().all(|command| command["username"] == "hana"));
            }
        }
        let gone = corrections(&secrets, &right, "hana", None, false);
        assert_eq!(gone, [json!({ "command": "deleteClient", "username": "hana" })]);
    }

    /// The plugin with its clients and roles, as far as the gateway asks it.
    #[derive(Clone, Default)]
    struct Model(Arc<Mutex<[BTreeMap<String, Value>; 2]>>);

    impl Model {
        fn client(&self, name: &str) -> Value {
            self.0.lock().unwrap()[0].get(name).cloned().unwrap_or_default()
        }

        fn answer(&self, command: &Value) -> Value {
            let [clients, roles] = &mut *self.0.lock().unwrap();
            let text = |field: &str| command[field].as_str().unwrap_or_default().to_owned();
            let (client, role) = (clients.get_mut(&text("username")), text("rolename"));
            let mut answer = json!({ "command": command["command"] });
            match (&*text("command"), client) {
                ("setDefaultACLAccess", _) => {}
                ("getRole", _) if roles.contains_key(&role) => answer["data"]["role"] = roles[&role].clone(),
                ("createRole", _) if roles.contains_key(&role) => {
                    answer["error"] = "Role already exists".into();
                }
                ("createRole", _) => drop(roles.insert(role, command.clone())),
                ("modifyRole", _) if roles.contains_key(&role) => {
                    roles.insert(role, command.clone());
                }
                ("listClients", _) => {
                    let number = |field: &str| usize::try_from(command[field].as_u64().unwrap()).unwrap();
                    let page = clients.values().skip(number("offset")).take(number("count"));
                    answer["data"]["clients"] = page.cloned().collect();
                }
                ("createClient", Some(_)) => answer["error"] = "Client already exists".into(),
                ("deleteClient", None) => answer["error"] = "Client not found".into(),
                ("createClient", None) => drop(clients.insert(text("username"), command.clone())),
                ("modifyClient", Some(client)) => {
                    for (field, value) in command.as_object().unwrap() {
                        client[field] = value.clone();
                    }
                }
                ("deleteClient", Some(_)) => drop(clients.remove(&text("username"))),
                ("disableClient", Some(client)) => client["disabled"] = true.into(),
                ("enableClient", Some(client)) => client["disabled"] = false.into(),
                _ => answer["error"] = "it cannot be".into(),
            }
            answer
        }
    }

    impl Plugin for Model {
        async fn ask(&mut self, commands: Vec<Value>) -> Result<Vec<Value>> {
            // To no command there is no answer.
            assert!((1..=PAGE).contains(&commands.len()));
            Ok(commands.iter().map(|command| self.answer(command)).collect())
        }

        async fn lets_in(&self, name: &str, password: &Secret) -> Result<Option<bool>> {
            let client = self.client(name);
            match client["trial"].as_str() {
                Some("hangs") => std::future::pending().await,
                Some(error) => bail!("{error}"),
                None => {}
            }
            Ok(Some(client["password"] == password.as_str() && client["disabled"] != true))
        }
    }

    /// Keeps the accounts of a model; what goes in are secrets and floods.
    fn kept(
        interval: Duration,
    ) -> (Model, watch::Sender<Arc<Secrets>>, mpsc::Sender<String>, watch::Sender<()>) {
        let model = Model::default();
        let (sender, mut secrets) = watch::channel(Arc::new(secrets()));
        let (flood, mut floods) = mpsc::channel(8);
        let (connect, connected) = watch::channel(());
        let mut plugin = model.clone();
        tokio::spawn(async move {
            keep(&mut plugin, &mut secrets, &mut floods, &connected, (interval, false), |_| {}).await;
        });
        (model, sender, flood, connect)
    }

    /// A plugin that does not answer.
    struct Silent;

    impl Plugin for Silent {
        async fn ask(&mut self, _: Vec<Value>) -> Result<Vec<Value>> {
            std::future::pending().await
        }

        async fn lets_in(&self, _: &str, _: &Secret) -> Result<Option<bool>> {
            Ok(None)
        }
    }

    #[tokio::test]
    async fn of_a_connection_that_is_gone_no_answer_is_waited_for() {
        let (_sender, mut secrets) = watch::channel(Arc::new(secrets()));
        let (_flood, mut floods) = mpsc::channel(8);
        let (connect, mut connected) = watch::channel(());
        let mut silent = Silent;
        let tried = |_| panic!("nothing was tried");
        let keeping = keep(&mut silent, &mut secrets, &mut floods, &connected, (AGAIN, false), tried);
        let anew = async {
            sleep(Duration::from_millis(20)).await;
            connect.send_replace(());
        };
        let both = async { tokio::join!(keeping, anew) };
        timeout(Duration::from_secs(3), both).await.expect("it waits for an answer");
        timeout(Duration::from_secs(3), connected.changed())
            .await
            .expect("whoever keeps it next is told")
            .unwrap();
    }

    async fn until(what: impl Fn() -> bool) {
        timeout(Duration::from_secs(20), async {
            while !what() {
                sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn what_others_changed_is_put_right_now_and_then() {
        let (model, _secrets, _flood, _connect) = kept(Duration::from_millis(20));
        let secrets = secrets();
        let names: Vec<String> = secrets.users.keys().cloned().collect();
        until(|| names.iter().all(|name| !model.client(name).is_null())).await;
        let right = model.0.lock().unwrap().clone();
        assert_eq!(right[0].len(), secrets.users.len() + secrets.devices.len());
        assert_eq!(right[1].keys().collect::<Vec<_>>(), ["device", "user"]);
        type Change = fn(&mut [BTreeMap<String, Value>; 2]);
        let changes: [Change; 6] = [
            |[clients, _]| clients.get_mut("hana").unwrap()["password"] = "mine".into(),
            |[clients, _]| clients.get_mut("hana").unwrap()["roles"] = json!([]),
            |[clients, _]| drop(clients.remove("hana")),
            |[clients, _]| drop(clients.insert("mallory".into(), json!({ "username": "mallory" }))),
            |[_, roles]| roles.get_mut("user").unwrap()["acls"] = json!([]),
            |[_, roles]| drop(roles.remove("device")),
        ];
        // What a role or an account is, without the command that made it so.
        let content = |model: &[BTreeMap<String, Value>; 2]| {
            let mut model = model.clone();
            for entry in model.iter_mut().flat_map(BTreeMap::values_mut) {
                entry["command"] = Value::Null;
            }
            model
        };
        for change in changes {
            change(&mut model.0.lock().unwrap());
            until(|| content(&model.0.lock().unwrap()) == content(&right)).await;
        }
    }

    #[tokio::test]
    async fn a_comparison_changes_only_what_is_wrong() {
        let (mut model, mut secrets) = (Model::default(), secrets());
        for i in 0..2 * PAGE {
            secrets.users.insert(format!("user-{i}"), secrets.users["hana"].clone());
        }
        let accounts = secrets.users.len() + secrets.devices.len();
        for (what, expected) in [("everything", 2 + accounts), ("nothing", 0), ("a role", 1), ("nothing", 0)]
        {
            if what == "a role" {
                let more = json!({ "acltype": "publishClientSend", "topic": "up/#", "allow": true });
                let roles = &mut model.0.lock().unwrap()[1];
                roles.get_mut("user").unwrap()["acls"].as_array_mut().unwrap().push(more);
            }
            let changed = synchronise(&mut model, &secrets, &mut ShutOut::new(), false).await.unwrap();
            assert_eq!(changed, expected, "{what} is wrong");
        }
    }

    /// Of two gateways that make the same at once, neither fails; and neither lets in at once whom the other one has shut out.
    #[tokio::test]
    async fn two_gateways_do_not_fight() {
        let (mut model, secrets) = (Model::default(), secrets());
        let made: Vec<Value> = accounts(&secrets)
            .iter()
            .map(|(name, password)| account("createClient", &secrets, name, password))
            .collect();
        let gone = vec![json!({ "command": "deleteClient", "username": "hana" })];
        for commands in [&made, &made, &gone, &gone] {
            command(&mut model, commands.clone()).await.unwrap();
        }
        let named = |what: &str, name: &str| vec![json!({ "command": what, "username": name })];
        command(&mut model, named("enableClient", "hana")).await.unwrap_err();
        command(&mut model, named("disableClient", "ren")).await.unwrap();
        let mut shut_out = ShutOut::new();
        for _ in 0..2 {
            synchronise(&mut model, &secrets, &mut shut_out, true).await.unwrap();
            assert_eq!(model.client("ren")["disabled"], true);
            assert_ne!(model.client("hana"), Value::Null);
        }
        // As of one that it has shut out itself, it knows when this one comes back.
        let until = shut_out["ren"].0.unwrap().saturating_duration_since(Instant::now());
        assert!(until > SHUT_OUT[1] / 2 && until <= SHUT_OUT[1], "{until:?}");
        assert_eq!(shut_out.len(), 1);
        synchronise(&mut model, &secrets, &mut ShutOut::new(), false).await.unwrap();
        assert_eq!(model.client("ren")["disabled"], false);
    }

    #[tokio::test]
    async fn between_comparisons_there_is_time() {
        let (model, secrets, _flood, _connect) = kept(Duration::from_secs(60));
        until(|| !model.client("hana").is_null()).await;
        let has_role = || model.0.lock().unwrap()[1].contains_key("device");
        model.0.lock().unwrap()[1].remove("device");
        sleep(Duration::from_millis(200)).await;
        assert!(!has_role());
        secrets.send_modify(|_| {});
        until(has_role).await;
    }

    #[tokio::test]
    async fn who_floods_is_shut_out_for_longer_each_time() {
        let (model, secrets, flood, _connect) = kept(Duration::from_millis(20));
        until(|| !model.client("hana").is_null()).await;
        let is_out = || model.client("hana")["disabled"] == true;
        for pause in [1, 2] {
            let start = Instant::now();
            flood.send("hana".to_owned()).await.unwrap();
            until(is_out).await;
            // While it is out it is not shut out again, and no comparison lets it in.
            flood.send("hana".to_owned()).await.unwrap();
            secrets.send_modify(|_| {});
            until(|| !is_out()).await;
            assert!(start.elapsed() >= Duration::from_secs(pause));
        }
    }

    /// A broker that does not answer a trial, or answers with an error, keeps nothing else waiting.
    #[tokio::test]
    async fn trials_keep_nothing_else_waiting() {
        let (model, secrets, flood, _connect) = kept(Duration::from_millis(20));
        until(|| !model.client("sora").is_null()).await;
        let change = |name: &str, field: &str, value: &str| {
            model.0.lock().unwrap()[0].get_mut(name).unwrap()[field] = value.into();
        };
        change("hana", "trial", "an error");
        change("ren", "password", "mine");
        until(|| model.client("ren")["password"] != "mine").await;
        change("hana", "trial", "hangs");
        sleep(Duration::from_millis(100)).await;
        flood.send("ren".to_owned()).await.unwrap();
        until(|| model.client("ren")["disabled"] == true).await;
        until(|| model.client("ren")["disabled"] != true).await;
        let mut fewer = self::secrets();
        fewer.users.remove("sora");
        secrets.send_replace(Arc::new(fewer));
        until(|| model.client("sora").is_null()).await;
    }

    #[test]
    fn a_tag_tells_one_password_of_one_account() {
        let secrets = secrets();
        let tags = [("hana", "a"), ("hana", "b"), ("ren", "a"), ("hanaa", "")];
        let tags = tags.map(|(name, password)| tag(&secrets, name, password));
        assert!((0..4).all(|i| tags[i].len() == 32 && tags[..i].iter().all(|other| *other != tags[i])));
    }
}
