//! `cargo xtask demo`: an hour in the city. See `USAGE`.
#![forbid(unsafe_code)]

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
#[cfg(unix)]
use smart_city_demo::street::{LAMP_OFF, LAMP_ON};
use smart_city_demo::{
    city::{DEVICES, DemoUser, FIRMWARE, Firmware, USERS},
    disaster::Relief,
    gateway::{Flow, Gateway},
    stage::Stage,
};
use smart_city_frame::Verdict;

const USAGE: &str = "\
usage: smart-city-demo [--serve] [--firmware FOLDER]
           an hour of simulated readings at high speed, with a device that is tampered with
       --serve
           goes on with a minute a second, until it is stopped
       --firmware FOLDER
           two of the devices run the images in FOLDER, in QEMU, and one of them is tampered with as well";

/// The simulated hour: from 8:00, in minutes of the day.
const BEGIN: u16 = 480;
/// Somebody alters the code of a device.
const TAMPERED: u16 = 495;
/// The next instruction for it.
const FOUND: u16 = 505;
/// It is recovered.
const RECOVERED: u16 = 520;
const END: u16 = 540;

/// The device that is tampered with, and the function that is altered.
const VICTIM: usize = 12;
const OPEN_GATE: u16 = 2;

/// Those whose code is examined, the victim among them.
const EXAMINED: [usize; 5] = [0, 7, VICTIM, 31, 44];

/// Frames that malware makes up on a device of which it does not have the keys.
const FORGED: u32 = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str).peekable();
    let serves = words.next_if_eq(&"--serve").is_some();
    let firmware = words.next_if_eq(&"--firmware").and_then(|_| words.next());
    let has_folder = firmware.is_some() == arguments.iter().any(|word| word == "--firmware");
    if words.next().is_some() || !has_folder {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let firmware = firmware.map(|folder| Firmware::in_folder(Path::new(folder)));
    match run(serves, firmware.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nnot as it must be: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(serves: bool, firmware: Option<&Firmware>) -> Result<()> {
    let started = Instant::now();
    let kind = match firmware {
        Some(_) => format!("{FIRMWARE} devices run the firmware in QEMU, the others are simulated."),
        None => "The devices are simulated.".to_owned(),
    };
    println!("Starting a gateway, {DEVICES} devices and {} users. {kind}", USERS.len());
    let mut stage = Stage::set(&Gateway::program()?, firmware)?;
    println!("The gateway's page: http://{}/", stage.gateway.http);

    let begun = Instant::now();
    hour(&mut stage, BEGIN..TAMPERED, None)?;
    for index in EXAMINED {
        ensure!(stage.instruct(index, OPEN_GATE)? == Verdict::Intact, "a function was altered too early");
        stage.seen(index, "affirming", false)?;
    }
    step(
        "08:15",
        &format!("{} devices were told to open their gates: examined, as built, opened.", EXAMINED.len()),
    );
    #[cfg(unix)]
    firmware_is_patched(&mut stage)?;
    cheat(&mut stage)?;

    stage.patch(VICTIM, OPEN_GATE)?;
    let victim = stage.device(VICTIM).name.clone();
    step("08:15", &format!("Somebody alters one bit of the code of {victim}. Nobody notices yet."));
    hour(&mut stage, TAMPERED..FOUND, None)?;

    let asked = Instant::now();
    let verdict = stage.instruct(VICTIM, OPEN_GATE)?;
    ensure!(verdict == Verdict::Altered, "the altered function was found {verdict:?}");
    stage.seen(VICTIM, "contraindicated", true)?;
    let found_in = asked.elapsed();
    step(
        "08:25",
        &format!(
            "{victim} is told to open its gate: the altered code does not run, and {:.0} ms later it is isolated.",
            millis(found_in)
        ),
    );
    #[cfg(unix)]
    firmware_is_found(&mut stage)?;
    hour(&mut stage, FOUND..RECOVERED, Some(VICTIM))?;
    let discarded = stage.recover(VICTIM)?;
    stage.seen(VICTIM, "affirming", false)?;
    let measured = usize::from(RECOVERED - FOUND) * stage.device(VICTIM).streams.len();
    ensure!(discarded == measured, "{discarded} readings of altered code were discarded, not {measured}");
    step(
        "08:40",
        &format!("{victim} is recovered: code restored, {discarded} readings discarded, a new epoch."),
    );
    #[cfg(unix)]
    firmware_is_recovered(&mut stage)?;
    hour(&mut stage, RECOVERED..END, None)?;
    ensure!(stage.instruct(VICTIM, OPEN_GATE)? == Verdict::Intact, "the function is still altered");
    stage.delivered()?;
    let took = begun.elapsed();
    #[cfg(unix)]
    firmware_was_heard(&mut stage)?;

    summary(&stage, took)?;
    println!("\nDisaster relief: three cities, each with a gateway of its own.");
    let mut relief = Relief::set(&Gateway::program()?)?;
    relief.play()?;
    let page = relief.summary()?;
    println!("The three gateways side by side, as they were at the end: {}", page.display());
    println!("\nAll as it must be, in {:.1} s.", started.elapsed().as_secs_f64());
    if serves {
        for (city, http, token) in relief.pages() {
            println!("The page of {city}'s gateway: http://{http}/, with the token {token}");
        }
        return serve(&mut stage);
    }
    Ok(())
}

/// Plays some minutes; each begins when the one before has its receipts.
fn hour(stage: &mut Stage, minutes: std::ops::Range<u16>, distrusted: Option<usize>) -> Result<()> {
    let end = minutes.end;
    for minute in minutes {
        stage.measure(minute, distrusted)?;
        stage.receipts(distrusted)?;
        if io::stdout().is_terminal() {
            print!("\r{}  {} readings", clock(minute), stage.made());
            io::stdout().flush()?;
        }
    }
    // Over the progress, if there is any.
    println!("\r{}  {} readings, all stored", clock(end), stage.made());
    Ok(())
}

/// What a hostile network, malware without keys and a stranger try.
fn cheat(stage: &mut Stage) -> Result<()> {
    let (malware, other) = (3, 4);
    let refused =
        |stage: &Stage, index: usize| Ok::<_, anyhow::Error>(stage.gateway.device(stage.id(index))?.refused);
    let before = [refused(stage, 0)?, refused(stage, malware)?, refused(stage, other)?];
    stage.repeat(0)?;
    stage.forge(malware, other, FORGED)?;
    let expected = [before[0] + 1, before[1] + u64::from(FORGED), before[2]];
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = [refused(stage, 0)?, refused(stage, malware)?, refused(stage, other)?];
        if now == expected {
            break;
        }
        ensure!(Instant::now() < deadline, "the gateway has refused {now:?} frames, not {expected:?}");
        thread::sleep(Duration::from_millis(20));
    }
    let status = stage.gateway.instruct_as_nobody(stage.id(malware))?;
    ensure!(status == 401, "an instruction of nobody was answered with {status}");
    step("08:15", "A frame comes twice: the second one is refused.");
    step(
        "08:15",
        &format!(
            "Malware on {}, without its keys, makes up {FORGED} frames: all are refused; and {FORGED} in the name of {}: \
             the broker lets none through.",
            stage.device(malware).name,
            stage.device(other).name
        ),
    );
    step("08:15", "Somebody who is no operator gives an instruction: refused.");
    Ok(())
}

/// The devices with the firmware obey; then code of the first one is altered.
#[cfg(unix)]
fn firmware_is_patched(stage: &mut Stage) -> Result<()> {
    let devices: Vec<usize> = stage.with_firmware().collect();
    let Some(&victim) = devices.first() else { return Ok(()) };
    for &index in &devices {
        stage.examine_firmware(index)?;
        stage.seen(index, "affirming", false)?;
        ensure!(stage.instruct_firmware(index, LAMP_ON)? == Verdict::Intact, "altered too early");
        stage.seen(index, "affirming", false)?;
        stage.lamp(index, 100)?;
    }
    step(
        "08:15",
        &format!(
            "{} devices with the firmware measure all their code, and switch their lamps on.",
            devices.len()
        ),
    );
    stage.patch_firmware(victim, LAMP_ON)?;
    // Other functions do run.
    ensure!(stage.instruct_firmware(victim, LAMP_OFF)? == Verdict::Intact, "another function is altered");
    stage.seen(victim, "affirming", false)?;
    stage.lamp(victim, 0)?;
    let name = &stage.device(victim).name;
    step(
        "08:15",
        &format!("Somebody at the debug port of {name} alters a bit of the code that switches its lamp on."),
    );
    Ok(())
}

/// The altered function is to run.
#[cfg(unix)]
fn firmware_is_found(stage: &mut Stage) -> Result<()> {
    let Some(victim) = stage.with_firmware().next() else { return Ok(()) };
    let asked = Instant::now();
    let verdict = stage.instruct_firmware(victim, LAMP_ON)?;
    ensure!(verdict == Verdict::Altered, "the altered function was found {verdict:?}");
    stage.seen(victim, "contraindicated", true)?;
    let found_in = asked.elapsed();
    // It goes on to measure, and nobody hears it.
    stage.lamp(victim, 0)?;
    let text = format!(
        "{} is told to switch its lamp on: the altered code does not run, and {:.0} ms later it is isolated.",
        stage.device(victim).name,
        millis(found_in)
    );
    step("08:25", &text);
    Ok(())
}

/// It is recovered, and obeys.
#[cfg(unix)]
fn firmware_is_recovered(stage: &mut Stage) -> Result<()> {
    let Some(victim) = stage.with_firmware().next() else { return Ok(()) };
    let lost = stage.recover_firmware(victim)?;
    stage.seen(victim, "affirming", false)?;
    ensure!(lost > 0, "no reading was made while the device was isolated");
    ensure!(stage.instruct_firmware(victim, LAMP_ON)? == Verdict::Intact, "the function is still altered");
    stage.seen(victim, "affirming", false)?;
    stage.lamp(victim, 100)?;
    let name = &stage.device(victim).name;
    step(
        "08:40",
        &format!(
            "{name} is recovered: code restored, {lost} readings never heard, a new epoch; its lamp is on."
        ),
    );
    Ok(())
}

/// Everybody has what the devices with the firmware have measured, who may.
#[cfg(unix)]
fn firmware_was_heard(stage: &mut Stage) -> Result<()> {
    if stage.with_firmware().next().is_some() {
        let count = stage.firmware_delivered()?;
        println!(
            "The devices with the firmware: {count} readings with a receipt, each with all who may see it, and nobody else."
        );
    }
    Ok(())
}

fn step(time: &str, text: &str) {
    println!("{time}  {text}");
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How many readings of a stream were refused to a user.
fn refusals(flows: &[Flow], user: &DemoUser, stream: &str) -> u64 {
    let refused = |flow: &&Flow| flow.user == user.id && flow.stream == stream && !flow.allowed;
    flows.iter().filter(refused).map(|flow| flow.count).sum()
}

/// The gateway's flows with every refusal that there must be: it adds them up a few times a second.
fn flows(stage: &Stage) -> Result<Vec<Flow>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let flows = stage.gateway.status()?.flows;
        let streams = &stage.city.streams;
        let pairs = USERS.iter().flat_map(|user| streams.iter().map(move |stream| (user, stream)));
        let missing =
            pairs.filter(|(user, stream)| stream.refusal(user).is_some()).find_map(|(user, stream)| {
                // A reading that came twice is refused twice.
                let expected = stage.expected(stream.name) as u64;
                let count = refusals(&flows, user, stream.name);
                (count < expected)
                    .then(|| format!("{} was refused {count} of {expected} {}", user.id, stream.name))
            });
        let Some(missing) = missing else { return Ok(flows) };
        ensure!(Instant::now() < deadline, "{missing}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn summary(stage: &Stage, took: Duration) -> Result<()> {
    let flows = flows(stage)?;
    println!("\nWho received what (readings), and why not:");
    print!("{:8} {:36}", "user", "");
    stage.city.streams.iter().for_each(|stream| print!("{:>13}", stream.name));
    println!();
    for (user, client) in USERS.iter().zip(&stage.users) {
        let inbox = client.inbox();
        print!("{:8} {:36}", user.id, user.about);
        for stream in &stage.city.streams {
            match inbox.readings.iter().filter(|reading| reading.stream == stream.name).count() {
                0 => print!("{:>13}", "-"),
                count => print!("{count:>13}"),
            }
        }
        println!();
        for stream in &stage.city.streams {
            let Some(why) = stream.refusal(user) else { continue };
            let of_user = |flow: &&Flow| flow.user == user.id && flow.stream == stream.name;
            let refused: Vec<&Flow> = flows.iter().filter(of_user).filter(|flow| !flow.allowed).collect();
            if refused.is_empty() || flows.iter().filter(of_user).any(|flow| flow.allowed) {
                bail!("the gateway does not say that {} was refused {}", user.id, stream.name);
            }
            let count = refusals(&flows, user, stream.name);
            println!(
                "         no {}: {why} ({count} readings; the gateway says: {})",
                stream.name, refused[0].reason
            );
        }
    }
    let again: u64 = stage.users.iter().map(|user| user.inbox().again).sum();
    let latencies = stage.latencies();
    let at = |part: usize| latencies.get(latencies.len() * part / 100).copied().map_or(f64::NAN, millis);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let rate = |count: usize| count as f64 / took.as_secs_f64();
    println!(
        "\n{} readings in {:.1} s: {:.0} frames a second up, {:.0} readings a second out; {again} came twice.",
        stage.made(),
        took.as_secs_f64(),
        rate(stage.made()),
        rate(latencies.len()),
    );
    println!("From sensor to user: half within {:.1} ms, 99 of 100 within {:.1} ms.", at(50), at(99));
    println!(
        "These times are of this machine, with everything on it, and each reading stored before its receipt."
    );
    Ok(())
}

/// Goes on, for someone who looks at the page.
fn serve(stage: &mut Stage) -> Result<()> {
    println!(
        "\nIt goes on with a minute a second. The page: http://{}/ (stop with Ctrl-C), where you log in with the token {}",
        stage.gateway.http, stage.city.operator_token
    );
    println!(
        "An instruction: curl -H 'Authorization: Bearer {}' --json '{{\"region\": 2, \"argument\": \"01\"}}' \
         http://{}/devices/{}/instructions",
        stage.city.operator_token,
        stage.gateway.http,
        stage.id(0)
    );
    for minute in (END..1440).chain((0..u16::MAX).map(|minute| minute % 1440)) {
        let went = stage.measure(minute, None).and_then(|()| stage.receipts(None));
        thread::sleep(Duration::from_secs(1));
        if stage.is_interrupted() {
            return Ok(());
        }
        went?;
    }
    Ok(())
}
