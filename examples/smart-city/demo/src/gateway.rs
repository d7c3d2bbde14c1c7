//! The gateway as a process, and its HTTP interface as its users see it.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde::Deserialize;
use serde_json::{Value, json};
use smart_city_frame::DeviceId;

/// A gateway that runs until this is dropped.
#[derive(Debug)]
pub struct Gateway {
    process: Child,
    /// Where its broker is.
    pub mqtt: SocketAddr,
    /// Where its page is.
    pub http: SocketAddr,
    operator_token: String,
    agent: ureq::Agent,
}

/// What `GET /status` says, as far as the demo needs it.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// The devices.
    pub devices: Vec<DeviceStatus>,
    /// Who receives what, and who does not.
    pub flows: Vec<Flow>,
}

/// A device in the eyes of the gateway.
#[derive(Debug, Deserialize)]
pub struct DeviceStatus {
    /// Its EUI-64.
    pub id: String,
    /// The state of its attestation.
    pub state: String,
    /// Whether it is in quarantine.
    pub isolated: bool,
    /// Frames that were refused.
    pub refused: u64,
    /// The same by reason.
    pub reasons: BTreeMap<String, u64>,
}

/// The decisions on a stream and a user, in the eyes of the gateway.
#[derive(Clone, Debug, Deserialize)]
pub struct Flow {
    /// The stream's name.
    pub stream: String,
    /// The user.
    pub user: String,
    /// What was decided.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// How often.
    pub count: u64,
}

impl Gateway {
    /// Starts `program` with the two files of a city, and the token of its operator; it keeps its data and its log in `dir`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(
        program: &Path,
        config: &Path,
        secrets: &Path,
        operator_token: String,
        dir: &Path,
    ) -> Result<Self> {
        let log = dir.join("gateway.log");
        let mut process = Command::new(program)
            .arg("--config")
            .arg(config)
            .arg("--secrets")
            .arg(secrets)
            .arg("--data")
            .arg(dir.join("data"))
            .args(["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = |name| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(name))?;
            word.parse::<SocketAddr>().ok()
        };
        let (Some(mqtt), Some(http)) = (address("mqtt="), address("http=")) else {
            let _ = process.kill();
            let log = std::fs::read_to_string(log).unwrap_or_default();
            bail!("the gateway did not start; it said: {line}{log}");
        };
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .build()
            .into();
        Ok(Self { process, mqtt, http, operator_token, agent })
    }

    /// The gateway's program, beside this one: both were built into the same directory.
    ///
    /// # Errors
    /// If it is not there.
    pub fn program() -> Result<PathBuf> {
        let own = env::current_exe()?;
        let name = format!("smart-city-gateway{}", env::consts::EXE_SUFFIX);
        let found = own.ancestors().skip(1).take(2).map(|dir| dir.join(&name)).find(|path| path.is_file());
        found.with_context(|| format!("there is no {name} beside {}; build the workspace", own.display()))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    fn get(&self, path: &str) -> Result<String> {
        let (status, text) = self.get_as(path, &format!("Bearer {}", self.operator_token))?;
        ensure!(status == 200, "GET {path}: {status} {text}");
        Ok(text)
    }

    /// What somebody is answered who shows this: the status, and the body.
    ///
    /// # Errors
    /// If the gateway does not answer.
    pub fn get_as(&self, path: &str, authorization: &str) -> Result<(u16, String)> {
        let request = self.agent.get(self.url(path)).header("Authorization", authorization);
        let mut answer = request.call().with_context(|| format!("GET {path}"))?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }

    /// Who of another city's devices is not believed here: how many devices that city has said to be isolated; none if it was not asked yet.
    ///
    /// # Errors
    /// If the gateway does not answer.
    pub fn isolated_in(&self, city: &str) -> Result<Option<u64>> {
        let status: Value = serde_json::from_str(&self.get("/status?limit=0")?)?;
        let learned = &status["incidents"]["learned"][city];
        Ok(learned["isolated"]
            .as_u64()
            .filter(|_| learned["answers"].as_u64().is_some_and(|count| count > 0)))
    }

    /// What the gateway says of other cities.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn cities(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.get("/cities")?)?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<()> {
        let token = format!("Bearer {}", self.operator_token);
        let request = self.agent.post(self.url(path)).header("Authorization", token);
        let mut answer = request.send_json(body).with_context(|| format!("POST {path}"))?;
        let text = answer.body_mut().read_to_string()?;
        ensure!(answer.status().is_success(), "POST {path}: {} {text}", answer.status());
        Ok(())
    }

    /// The state of everything.
    ///
    /// # Errors
    /// If the gateway does not answer.
    pub fn status(&self) -> Result<Status> {
        serde_json::from_str(&self.get("/status?limit=1000")?).context("what /status says")
    }

    /// The state of a device.
    ///
    /// # Errors
    /// If the gateway does not answer or does not know it.
    pub fn device(&self, id: DeviceId) -> Result<DeviceStatus> {
        let mut devices = self.status()?.devices.into_iter();
        devices.find(|device| device.id == id.to_string()).with_context(|| format!("the gateway has no {id}"))
    }

    /// Sends an instruction to a device, as an operator.
    ///
    /// # Errors
    /// If the gateway does not take it.
    pub fn instruct(&self, id: DeviceId, region: u16) -> Result<()> {
        self.post(&format!("/devices/{id}/instructions"), &json!({ "region": region, "argument": "01" }))
    }

    /// Has all regions of a device measured, as an operator.
    ///
    /// # Errors
    /// If the gateway does not take it.
    pub fn examine(&self, id: DeviceId) -> Result<()> {
        self.post(&format!("/devices/{id}/examine"), &json!({}))
    }

    /// Has a device recovered, as an operator.
    ///
    /// # Errors
    /// If the gateway does not take it.
    pub fn recover(&self, id: DeviceId) -> Result<()> {
        self.post(&format!("/devices/{id}/recover"), &json!({}))
    }

    /// The status in the last attestation result of a device, of which the signature is checked.
    ///
    /// # Errors
    /// If there is none, or if it is not what the gateway's key has signed.
    pub fn result(&self, id: DeviceId) -> Result<String> {
        let keys: JwkSet = serde_json::from_str(&self.get("/keys")?)?;
        let token = self.get(&format!("/devices/{id}/result"))?;
        status_in(token.trim(), &keys, id)
    }

    /// Tries to instruct without being an operator; returns the status.
    ///
    /// # Errors
    /// If the gateway does not answer.
    pub fn instruct_as_nobody(&self, id: DeviceId) -> Result<u16> {
        let url = self.url(&format!("/devices/{id}/instructions"));
        let request = self.agent.post(url).header("Authorization", "Bearer wrong");
        Ok(request.send_json(json!({ "region": 1, "argument": "" }))?.status().as_u16())
    }
}

/// The status of a device in an attestation result that one of `keys` has signed.
///
/// # Errors
/// If the signature is not one of them, or the result is of another device.
pub fn status_in(token: &str, keys: &JwkSet, id: DeviceId) -> Result<String> {
    #[derive(Deserialize)]
    struct Claims {
        submods: BTreeMap<String, Appraisal>,
    }
    #[derive(Deserialize)]
    struct Appraisal {
        ear_status: String,
    }
    let key_id = jsonwebtoken::decode_header(token)?.kid.context("the result names no key")?;
    let key = keys.find(&key_id).context("the gateway does not show the key of its results")?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_required_spec_claims::<&str>(&[]);
    let mut claims: Claims = jsonwebtoken::decode(token, &DecodingKey::from_jwk(key)?, &validation)?.claims;
    let appraisal = claims.submods.remove(&id.to_string()).context("the result is of another device")?;
    Ok(appraisal.ear_status)
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
