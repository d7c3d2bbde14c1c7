//! What is between the engine and a broker, the own one or another.
//!
//! What comes in waits in a queue for each account ([`Intake`]), and the engine takes from them in turn: who floods waits behind
//! itself. No more than [`ROOM`] messages that a broker has acknowledged or will acknowledge wait, or 512 for each shard if there are several
//! gateways, so none is dropped and memory stays bounded. Of QoS 0 an account may have [`SHARE`] waiting; what is beyond is discarded and counted.
//!
//! What goes out never makes the engine wait ([`Outgoing`]): of readings the engine itself gives out only so many, and of
//! what goes to a device only the newest of a kind is worth sending.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use prometheus_client::metrics::histogram::Histogram;
use rumqttc::Publish;
use smart_city_engine::{
    config::parse_device_id,
    engine::{Engine, Input, Output},
};
use smart_city_frame::{Header, Kind};
use smart_city_iot_agent::Groups;
use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit, mpsc, watch},
    task::JoinHandle,
};

use crate::{agent::Agent, metrics::Meters};

/// Messages that may wait for the engine, of all accounts together.
pub(crate) const ROOM: u16 = 1024;

/// Inputs that are not messages: time, operators, deliveries.
const INPUTS: usize = 1024;

/// Inputs that the engine works off before it stores them.
const BATCH: usize = 512;

/// The QoS 0 messages of one account that may wait.
const SHARE: usize = 64;

/// The longest packet: a frame has 255 bytes.
pub(crate) const MAX_PACKET: u32 = 4096;

/// What an account may send in the long run and at once.
///
/// A device that was out of reach sends what it kept, at most some thousand frames. The own broker makes an account that sends
/// more wait; at Mosquitto the account is shut out for a while.
#[derive(Debug)]
pub(crate) struct Allowance {
    messages: f64,
    since: Instant,
}

impl Allowance {
    const A_SECOND: f64 = 1000.0;
    const AT_ONCE: f64 = 2000.0;

    /// The whole of it.
    pub(crate) fn new(now: Instant) -> Self {
        Self { messages: Self::AT_ONCE, since: now }
    }

    /// Takes some messages off; returns how long they must wait if the account has sent more than it may.
    pub(crate) fn take(&mut self, messages: u32, now: Instant) -> Option<Duration> {
        let grown = now.saturating_duration_since(self.since).as_secs_f64() * Self::A_SECOND;
        self.messages = (self.messages + grown).min(Self::AT_ONCE) - f64::from(messages);
        self.since = now;
        (self.messages < 0.0).then(|| Duration::from_secs_f64(-self.messages / Self::A_SECOND))
    }
}

/// A warning that comes at most every ten seconds, with how often it was left out.
#[derive(Debug, Default)]
pub(crate) struct Limited(Option<(Instant, u64)>);

impl Limited {
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        match &mut self.0 {
            Some((last, left_out)) if now.saturating_duration_since(*last) < Duration::from_secs(10) => {
                *left_out += 1;
                None
            }
            last => {
                let left_out = last.take().map_or(0, |(_, left_out)| left_out);
                *last = Some((now, 0));
                Some(left_out)
            }
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message that came.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// With QoS 0: nobody waits for an acknowledgement.
    pub(crate) is_unacknowledged: bool,
    pub(crate) owed: Owed,
}

/// The acknowledgement of a message, and the number of the connection that it came over. On another one the same packet identifier may be
/// another message's.
pub(crate) type Ack = (Box<Publish>, u64);

/// What a message leaves to be done when it is stored.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// It is acknowledged to the session that it came over, which may be gone by then. There are never more than that session may have
    /// unacknowledged.
    pub(crate) acknowledgement: Option<(mpsc::UnboundedSender<Ack>, Ack)>,
    /// Its place is free for another.
    pub(crate) _place: Option<OwnedSemaphorePermit>,
}

impl Owed {
    /// It is stored.
    pub(crate) fn settle(self) {
        if let Some((session, ack)) = self.acknowledgement {
            drop(session.send(ack));
        }
    }
}

/// Messages that wait for the engine: a queue for each account, worked off in turn.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The part of a topic that names the account, from 0.
    account: usize,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    accounts: HashMap<String, Account>,
    /// Those that have something waiting.
    turn: VecDeque<String>,
}

#[derive(Debug)]
struct Account {
    queue: VecDeque<Arrived>,
    /// QoS 0 messages in the queue.
    unacknowledged: usize,
    discarded: u64,
    allowance: Allowance,
}

/// Accounts that are remembered although nothing of them waits.
const REMEMBERED: usize = 65_536;

impl Intake {
    /// Of messages to `up/{account}/{what}`, or `up/{shard}/{account}/{what}` if the devices are divided into shards.
    pub(crate) fn new(has_shards: bool) -> Self {
        Self { account: 1 + usize::from(has_shards), waiting: Mutex::default(), wake: Notify::new() }
    }

    /// Takes a message over; returns the account if it sends more than it may.
    pub(crate) fn push(&self, message: Arrived, now: Instant) -> Option<String> {
        let name = message.topic.split('/').nth(self.account).unwrap_or_default().to_owned();
        let mut waiting = lock(&self.waiting);
        let Waiting { accounts, turn } = &mut *waiting;
        if accounts.len() >= REMEMBERED && !accounts.contains_key(&name) {
            accounts.retain(|_, account| {
                let silence = now.saturating_duration_since(account.allowance.since);
                !account.queue.is_empty() || silence < Duration::from_secs(10)
            });
        }
        let account = accounts.entry(name.clone()).or_insert_with(|| Account {
            queue: VecDeque::new(),
            unacknowledged: 0,
            discarded: 0,
            allowance: Allowance::new(now),
        });
        let floods = account.allowance.take(1, now).is_some();
        if message.is_unacknowledged {
            if account.unacknowledged >= SHARE {
                account.discarded += 1;
                return Some(name).filter(|_| floods);
            }
            account.unacknowledged += 1;
        }
        if account.queue.is_empty() {
            turn.push_back(name.clone());
        }
        account.queue.push_back(message);
        drop(waiting);
        self.wake.notify_one();
        Some(name).filter(|_| floods)
    }

    /// The next messages, one of each account in turn, each with what it leaves to be done; and what was discarded.
    pub(crate) fn take(&self, most: usize) -> Vec<(Input, Option<Owed>)> {
        let mut taken = Vec::new();
        let mut waiting = lock(&self.waiting);
        let Waiting { accounts, turn } = &mut *waiting;
        while taken.len() < most
            && let Some(name) = turn.pop_front()
        {
            let Some(account) = accounts.get_mut(&name) else { continue };
            if account.discarded > 0 {
                let count = std::mem::take(&mut account.discarded);
                taken.push((Input::Overload { device: parse_device_id(&name), count }, None));
            }
            let Some(message) = account.queue.pop_front() else { continue };
            let Arrived { topic, payload, is_unacknowledged, owed } = message;
            if is_unacknowledged {
                account.unacknowledged -= 1;
            }
            taken.push((Input::Message { topic, payload }, Some(owed)));
            if !account.queue.is_empty() {
                turn.push_back(name);
            }
        }
        if !turn.is_empty() {
            self.wake.notify_one();
        }
        taken
    }
}

/// What waits for the broker. To put something in never blocks.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    waiting: Mutex<Leaving>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Leaving {
    /// Topics of devices and kinds of frames, in the order in which they go.
    order: VecDeque<(String, u8)>,
    /// The newest of each: a receipt says all that the one before it said, and everything else is sent again.
    down: HashMap<(String, u8), Output>,
    /// Commands to devices that the engine does not know. None takes the place of another; operators have only so many.
    commands: VecDeque<Output>,
    /// Readings, as many as the engine gives out.
    readings: VecDeque<Output>,
    /// Notifications: the newest of each topic, and of a user only so many.
    told: VecDeque<Output>,
    /// The last one was for a device.
    is_users_turn: bool,
}

/// Topics of one user that may have a notification waiting.
const MOST_TOLD: usize = 32;

/// The user that what goes to this topic is for.
pub(crate) fn user(topic: &str) -> Option<&str> {
    topic.strip_prefix("out/")?.split('/').next()
}

/// Adds a notification. One of its topic is not worth sending any more; of too many, the user's oldest goes.
fn tell(told: &mut VecDeque<Output>, output: Output) {
    told.retain(|before| before.topic != output.topic);
    let is_of_user = |before: &Output| user(&before.topic) == user(&output.topic);
    if told.iter().filter(|before| is_of_user(before)).count() >= MOST_TOLD
        && let Some(oldest) = told.iter().position(is_of_user)
    {
        told.remove(oldest);
    }
    told.push_back(output);
}

impl Outgoing {
    pub(crate) fn push(&self, outputs: Vec<Output>) {
        let mut waiting = lock(&self.waiting);
        for output in outputs {
            if output.delivery.is_some() {
                waiting.readings.push_back(output);
            } else if user(&output.topic).is_some() {
                tell(&mut waiting.told, output);
            } else if Groups::is_topic(&output.topic) {
                waiting.commands.push_back(output);
            } else {
                let kind = match Header::parse(&output.payload).map(|header| header.kind) {
                    Ok(Kind::Receipt) => 0,
                    Ok(Kind::EpochRequest) => 1,
                    _ => 2,
                };
                let key = (output.topic.clone(), kind);
                if waiting.down.insert(key.clone(), output).is_none() {
                    waiting.order.push_back(key);
                }
            }
        }
        drop(waiting);
        self.wake.notify_one();
    }

    pub(crate) async fn next(&self) -> Output {
        loop {
            if let Some(output) = self.pop() {
                return output;
            }
            self.wake.notified().await;
        }
    }

    fn pop(&self) -> Option<Output> {
        let mut waiting = lock(&self.waiting);
        // In turn: else there are always receipts under load, and users wait until it is over.
        let output = if waiting.is_users_turn {
            waiting.for_user().or_else(|| waiting.for_device())
        } else {
            waiting.for_device().or_else(|| waiting.for_user())
        }?;
        waiting.is_users_turn = !waiting.is_users_turn;
        Some(output)
    }
}

impl Leaving {
    fn for_device(&mut self) -> Option<Output> {
        let command = self.commands.pop_front();
        command.or_else(|| self.order.pop_front().and_then(|key| self.down.remove(&key)))
    }

    fn for_user(&mut self) -> Option<Output> {
        self.readings.pop_front().or_else(|| self.told.pop_front())
    }
}

/// How far the gateway is with its broker, over the connection that there was last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// It has not had all answers of the broker yet, over this or any other connection.
    Starts,
    /// It does not have all that it asked the broker for.
    Lacks,
    /// The broker has the subscriptions, and the accounts if they are kept there.
    Done,
}

impl Preparation {
    /// If it is this one, it is a lack from now on.
    pub(crate) fn becomes_lack(self, now: &watch::Sender<Self>) {
        now.send_if_modified(|now| *now == self && std::mem::replace(now, Self::Lacks) == self);
    }
}

/// What a broker and the engine have between them.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Where the engine takes inputs.
    pub inputs: mpsc::Sender<Input>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) outgoing: Arc<Outgoing>,
    /// Takes what devices send that the engine does not know.
    pub agent: Agent,
}

/// Runs the engine in a thread of its own. What is left of before is sent first.
///
/// The handle ends when the engine does: with an error if it could not store something.
pub fn start(
    engine: Engine,
    before: Vec<Output>,
    agent: Agent,
    meters: &Meters,
) -> (Exchange, JoinHandle<Result<()>>) {
    let (inputs, inputs_rx) = mpsc::channel(INPUTS);
    let intake = Arc::new(Intake::new(engine.shards().is_some()));
    let exchange = Exchange { inputs, intake, outgoing: Arc::default(), agent };
    let (intake, outgoing) = (Arc::clone(&exchange.intake), Arc::clone(&exchange.outgoing));
    let (runtime, batches) = (Handle::current(), meters.batches.clone());
    let engine = tokio::task::spawn_blocking(move || {
        run(engine, before, inputs_rx, &intake, &outgoing, &batches, &runtime)
    });
    (exchange, engine)
}

/// The engine's thread.
fn run(
    mut engine: Engine,
    before: Vec<Output>,
    mut inputs: mpsc::Receiver<Input>,
    intake: &Intake,
    outgoing: &Outgoing,
    batches: &Histogram,
    runtime: &Handle,
) -> Result<()> {
    let mut owed = Vec::new();
    outgoing.push(before);
    loop {
        let mut batch = Vec::new();
        runtime.block_on(async {
            tokio::select! {
                biased;
                input = inputs.recv() => batch.extend(input),
                () = intake.wake.notified() => {}
            }
        });
        if inputs.is_closed() && inputs.is_empty() && batch.is_empty() {
            return Ok(());
        }
        fill(&mut batch, &mut owed, &mut inputs, intake);
        let start = Instant::now();
        let outputs = engine.handle(batch)?;
        batches.observe(start.elapsed().as_secs_f64());
        owed.drain(..).for_each(Owed::settle);
        outgoing.push(outputs);
    }
}

/// Takes what waits already: messages have at least half of a batch.
fn fill(batch: &mut Vec<Input>, owed: &mut Vec<Owed>, inputs: &mut mpsc::Receiver<Input>, intake: &Intake) {
    while batch.len() < BATCH / 2
        && let Ok(input) = inputs.try_recv()
    {
        batch.push(input);
    }
    for (input, of_it) in intake.take(BATCH - batch.len()) {
        batch.push(input);
        owed.extend(of_it);
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::QoS;
    use smart_city_frame::{Class, Epoch};
    use tokio::sync::Semaphore;

    use super::*;

    const FLOOD: &str = "70b3d5fffe000001";

    fn message(account: &str, is_unacknowledged: bool, number: usize) -> Arrived {
        Arrived {
            topic: format!("up/{account}/1"),
            payload: number.to_string().into_bytes(),
            is_unacknowledged,
            owed: Owed::default(),
        }
    }

    /// Account and number of each message, and how many were discarded.
    fn texts(taken: Vec<(Input, Option<Owed>)>) -> Vec<String> {
        let text = |taken| match taken {
            (Input::Message { topic, payload }, Some(_)) => {
                format!("{} {}", topic.split('/').nth(1).unwrap(), String::from_utf8(payload).unwrap())
            }
            (Input::Overload { device, count }, None) => format!("{} discarded {count}", device.unwrap()),
            other => panic!("{other:?}"),
        };
        taken.into_iter().map(text).collect()
    }

    /// Whether a notice waits; it is taken away.
    async fn is_awake(notify: &Notify) -> bool {
        tokio::time::timeout(Duration::ZERO, notify.notified()).await.is_ok()
    }

    #[test]
    fn an_account_may_send_so_many_messages_at_once_and_a_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert!((0..2000).all(|_| allowance.take(1, start).is_none()));
        assert_eq!(allowance.take(1, start), Some(Duration::from_millis(1)));
        assert_eq!(allowance.take(1, start), Some(Duration::from_millis(2)));
        // Ten more, of which two are owed.
        let later = start + Duration::from_millis(10);
        assert!((0..8).all(|_| allowance.take(1, later).is_none()));
        assert_eq!(allowance.take(1, later), Some(Duration::from_millis(1)));
        let much_later = start + Duration::from_secs(60);
        assert!((0..2000).all(|_| allowance.take(1, much_later).is_none()));
        assert_eq!(allowance.take(1, much_later), Some(Duration::from_millis(1)));
    }

    #[test]
    fn a_warning_comes_every_ten_seconds_at_most() {
        let (start, mut warning) = (Instant::now(), Limited::default());
        let due = [0, 0, 9_999, 10_000, 10_000, 20_000, 40_000]
            .map(|time| warning.due(start + Duration::from_millis(time)));
        assert_eq!(due, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }

    #[tokio::test]
    async fn accounts_are_taken_in_turn() {
        let (intake, now) = (Intake::new(false), Instant::now());
        for (account, number) in [("a", 1), ("a", 2), ("b", 1), ("a", 3)] {
            assert_eq!(intake.push(message(account, false, number), now), None);
        }
        assert!(is_awake(&intake.wake).await);
        assert_eq!(texts(intake.take(2)), ["a 1", "b 1"]);
        assert!(is_awake(&intake.wake).await, "more is there");
        assert_eq!(texts(intake.take(10)), ["a 2", "a 3"]);
        assert!(!is_awake(&intake.wake).await);
        assert_eq!(texts(intake.take(10)), [""; 0]);
    }

    /// What is stored is acknowledged to the session that it came over, and its place is free.
    #[test]
    fn what_is_owed_is_settled() {
        let room = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&room).try_acquire_owned().unwrap();
        Owed { acknowledgement: None, _place: Some(place) }.settle();
        assert_eq!(room.available_permits(), 1);
        let (session, mut acks) = mpsc::unbounded_channel();
        let publish = Publish::new("", QoS::AtLeastOnce, "2", None);
        let owed = |connection| Owed {
            acknowledgement: Some((session.clone(), (Box::new(publish.clone()), connection))),
            _place: None,
        };
        owed(7).settle();
        let (publish, connection) = acks.try_recv().unwrap();
        assert_eq!((&publish.payload[..], connection), (&b"2"[..], 7));
        drop(acks);
        // To one that is gone nothing is said.
        owed(7).settle();
    }

    /// With shards, whoever floods does so as the device, and not as its shard.
    #[test]
    fn the_account_is_the_device() {
        let now = Instant::now();
        for (has_shards, topic, expected) in
            [(false, "up/a/1", "a"), (true, "up/12/a/1", "a"), (true, "up/a", "")]
        {
            let intake = Intake::new(has_shards);
            let message = || Arrived { topic: topic.to_owned(), ..message("", true, 0) };
            assert!((0..2000).all(|_| intake.push(message(), now).is_none()));
            assert_eq!(intake.push(message(), now).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_flood_takes_its_own_share() {
        let (intake, now) = (Intake::new(false), Instant::now());
        for round in 0..2 {
            for number in 0..SHARE + 10 * (1 - round) {
                assert_eq!(intake.push(message(FLOOD, true, number), now), None);
            }
            intake.push(message(FLOOD, false, 1000), now);
            let mut expected: Vec<String> = (0..SHARE).map(|number| format!("{FLOOD} {number}")).collect();
            if round == 0 {
                expected.insert(0, format!("{FLOOD} discarded 10"));
            }
            expected.push(format!("{FLOOD} 1000"));
            assert_eq!(texts(intake.take(1000)), expected, "round {round}");
        }
    }

    #[test]
    fn who_sends_more_than_it_may_is_named() {
        let (intake, now) = (Intake::new(false), Instant::now());
        for (name, is_unacknowledged) in [("a", false), ("b", true)] {
            let push = |number| intake.push(message(name, is_unacknowledged, number), now);
            assert!((0..2000).all(|number| push(number).is_none()));
            assert_eq!(push(2000).as_deref(), Some(name));
        }
    }

    #[test]
    fn of_too_many_accounts_the_silent_ones_are_forgotten() {
        let (intake, start) = (Intake::new(false), Instant::now());
        let push = |account: usize, seconds| {
            let now = start + Duration::from_secs(seconds);
            intake.push(message(&account.to_string(), false, 0), now);
            lock(&intake.waiting).accounts.len()
        };
        for account in 0..REMEMBERED {
            push(account, 0);
        }
        push(1, 5);
        while !intake.take(BATCH).is_empty() {}
        assert_eq!(push(0, 10), REMEMBERED, "a known one takes no place");
        // One of which a message waits, one that was there lately, and the new one.
        assert_eq!(push(REMEMBERED, 10), 3);
        assert_eq!(push(REMEMBERED + 1, 100), 4, "there is place");
    }

    #[test]
    fn of_a_devices_frames_the_newest_of_each_kind_goes() {
        let outgoing = Outgoing::default();
        let frame = |kind, number| {
            let header = Header { kind, class: Class::Public, epoch: Epoch(1), counter: [0; 3] };
            [&header.to_bytes()[..], &[0; 8], &[number]].concat()
        };
        let output = |topic: &str, payload, delivery| Output {
            topic: topic.to_owned(),
            payload,
            delivery,
            about: None,
        };
        let down = |topic, kind, number| output(topic, frame(kind, number), None);
        outgoing.push(vec![
            output("out/hana/x", vec![7], Some(1)),
            down("down/a", Kind::Receipt, 1),
            down("down/a", Kind::EpochRequest, 2),
            down("down/b", Kind::Receipt, 3),
            down("down/a", Kind::Instruction, 4),
            output("out/ren/x", vec![8], Some(2)),
            down("down/a", Kind::Receipt, 5),
            output("/K/lamp/cmd", vec![9], None),
            output("/K/lamp/cmd", vec![10], None),
        ]);
        let packets: Vec<(String, u8)> = std::iter::from_fn(|| outgoing.pop())
            .map(|output| (output.topic, *output.payload.last().unwrap()))
            .collect();
        let packets: Vec<(&str, u8)> = packets.iter().map(|(topic, last)| (topic.as_str(), *last)).collect();
        assert_eq!(
            packets,
            [
                ("/K/lamp/cmd", 9),
                ("out/hana/x", 7),
                ("/K/lamp/cmd", 10),
                ("out/ren/x", 8),
                ("down/a", 5),
                ("down/a", 2),
                ("down/b", 3),
                ("down/a", 4)
            ]
        );
    }

    #[test]
    fn notifications_go_behind_readings_and_only_so_many_wait() {
        let outgoing = Outgoing::default();
        let output = |topic: String, delivery| Output { topic, payload: Vec::new(), delivery, about: None };
        let tell = |user: &str, i: usize| output(format!("out/{user}/NGSI-LD-{i}"), None);
        let mut outputs: Vec<_> = (0..40).map(|i| tell("hana", i)).collect();
        // The newest of its topic, which goes to the end.
        outputs.extend([tell("ren", 0), tell("hana", 20), output("out/ren/x".to_owned(), Some(1))]);
        outgoing.push(outputs);
        let sent: Vec<_> = std::iter::from_fn(|| outgoing.pop()).map(|output| output.topic).collect();
        let of_hana = (8..40).filter(|i| *i != 20).map(|i| format!("out/hana/NGSI-LD-{i}"));
        let expected: Vec<_> = ["out/ren/x".to_owned()]
            .into_iter()
            .chain(of_hana)
            .chain(["out/ren/NGSI-LD-0".to_owned(), "out/hana/NGSI-LD-20".to_owned()])
            .collect();
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_batch_is_of_messages_and_other_inputs() {
        let (intake, now) = (Intake::new(false), Instant::now());
        let (sender, mut inputs) = mpsc::channel(INPUTS);
        for number in 0..600 {
            intake.push(message("a", false, number), now);
        }
        for _ in 0..400 {
            sender.try_send(Input::Tick).unwrap();
        }
        let mut sizes = || {
            let mut batch = vec![Input::Tick];
            let mut owed = Vec::new();
            fill(&mut batch, &mut owed, &mut inputs, &intake);
            let ticks = batch.iter().filter(|input| matches!(input, Input::Tick)).count();
            assert_eq!(owed.len(), batch.len() - ticks);
            (ticks, owed.len())
        };
        assert_eq!([sizes(), sizes(), sizes()], [(256, 256), (146, 344), (1, 0)]);
    }
}
