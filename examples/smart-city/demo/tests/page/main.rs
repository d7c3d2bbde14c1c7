//! The gateway's page in a headless Chromium: what happens to a device is seen there.
//!
//! It leaves pictures of the page in both colour schemes in `target/.../tmp`.

mod chromium;

use std::{fs, path::Path};

use chromium::Page;
use serde_json::json;
use smart_city_demo::{
    city::{DEVICES, STREAMS, USERS},
    gateway::Gateway,
    stage::Stage,
};
use smart_city_frame::Verdict;

const VICTIM: usize = 12;
const OPEN_GATE: u16 = 2;

/// Logs in with the operator's token.
fn log_in(page: &mut Page, stage: &Stage) {
    page.wait("document.getElementById('log-in').hidden", &json!(false));
    assert_eq!(page.evaluate("document.querySelector('main').hidden"), json!(true));
    let submit = |token: &str| {
        format!(
            "document.getElementById('token').value = '{token}'; \
             document.getElementById('log-in').requestSubmit()"
        )
    };
    page.evaluate(&submit("not a token"));
    page.wait("document.getElementById('log-in-fault').textContent", &json!("nobody has this token"));
    page.evaluate(&submit(&stage.city.operator_token));
    page.wait("document.getElementById('who').textContent", &json!("demo, operator"));
}

#[test]
fn a_tampered_device_is_shown_isolated_then_recovered() {
    let mut stage = Stage::set(&Gateway::program().unwrap(), None).unwrap();
    let mut page = Page::open(&format!("http://{}/", stage.gateway.http));
    log_in(&mut page, &stage);
    page.wait("document.getElementById('connection').textContent", &json!("live"));
    page.wait("document.querySelectorAll('#devices [data-device]').length", &json!(DEVICES));

    // The page was there before the first reading: all of this comes as it happens.
    stage.measure(480, None).unwrap();
    stage.receipts(None).unwrap();
    assert_eq!(stage.instruct(VICTIM, OPEN_GATE).unwrap(), Verdict::Intact);
    let id = stage.id(VICTIM).to_string();
    let device = format!("document.querySelector('#devices [data-device=\"{id}\"]')");
    page.wait(&format!("{device}.dataset.state"), &json!("affirming"));
    page.wait(&format!("{device}.innerText.includes('as built')"), &json!(true));
    page.wait(&format!("{device}.dataset.isolated"), &json!("false"));

    // Every stream and user has a line, and says what was decided and why.
    let rows =
        "[...document.querySelectorAll('#flows tr')].map(row => [...row.cells].map(cell => cell.innerText))";
    page.wait(&format!("{rows}.length"), &json!(STREAMS.len() * USERS.len()));
    for stream in &STREAMS {
        for user in &USERS {
            let decision = if stream.refusal(user).is_none() { "✓ allowed" } else { "✗ refused" };
            let row = format!("{rows}.find(row => row[0] === '{}' && row[1] === '{}')", stream.name, user.id);
            page.wait(&format!("{row}[2]"), &json!(decision));
            let has_reason = page.evaluate(&format!("{row}[3].length > 10")) == json!(true);
            assert_eq!(has_reason, stream.refusal(user).is_some(), "refusals have reasons");
            let devices = stage.city.devices.iter();
            let readings =
                devices.filter(|device| device.streams.iter().any(|own| own.id == stream.id)).count();
            page.wait(&format!("{row}[4]"), &json!(readings.to_string()));
        }
    }

    stage.patch(VICTIM, OPEN_GATE).unwrap();
    assert_eq!(stage.instruct(VICTIM, OPEN_GATE).unwrap(), Verdict::Altered);
    page.wait(&format!("{device}.dataset.isolated"), &json!("true"));
    // In words, not by colour alone; and announced.
    page.wait(
        &format!("{device}.innerText.includes('altered') && {device}.innerText.includes('isolated')"),
        &json!(true),
    );
    page.wait("document.getElementById('announce').textContent.includes('is isolated')", &json!(true));
    let isolated = "document.querySelectorAll('#devices [data-isolated=true]').length";
    assert_eq!(page.evaluate(isolated), json!(1));
    // One who chooses it is told more.
    page.evaluate(&format!("{device}.querySelector('button').click()"));
    page.wait(&format!("document.getElementById('detail').textContent.includes('{id}')"), &json!(true));
    for scheme in ["light", "dark"] {
        let picture = page.picture(scheme);
        fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{scheme}.png")), picture)
            .unwrap();
    }

    stage.recover(VICTIM).unwrap();
    page.wait(&format!("{device}.dataset.isolated"), &json!("false"));
    page.wait(&format!("{device}.dataset.state"), &json!("affirming"));
    page.wait("document.getElementById('announce').textContent.includes('was recovered')", &json!(true));

    // A fault of the configuration is shown, to who watches and to who comes, until it is mended.
    let fault = "document.getElementById('fault').hidden ? '' : document.getElementById('fault').innerText";
    assert_eq!(page.evaluate(fault), json!(""));
    let path = stage.city.config.clone();
    let right = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("nonsense = '<b>1</b>'\n{right}")).unwrap();
    let is_told = format!("({fault}).includes('city.toml:1: ') && ({fault}).includes('nonsense')");
    page.wait(&is_told, &json!(true));
    let mut other = Page::open(&format!("http://{}/", stage.gateway.http));
    log_in(&mut other, &stage);
    other.wait(&is_told, &json!(true));
    assert_eq!(page.evaluate("document.querySelectorAll('#fault *').length"), json!(0), "text alone");
    fs::write(&path, right).unwrap();
    for page in [&mut page, &mut other] {
        page.wait(fault, &json!(""));
    }

    other.evaluate("document.getElementById('log-out').click()");
    other.wait("document.getElementById('log-in').hidden", &json!(false));
    assert_eq!(other.evaluate("document.querySelectorAll('#devices li').length"), json!(0));

    // A gateway that is gone is not shown as if it were there.
    drop(stage);
    page.wait("document.getElementById('connection').hasAttribute('data-lost')", &json!(true));
}
