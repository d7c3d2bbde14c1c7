//! The gateway's page in a headless Chromium: what happens to a device is seen there, by all who look; and a large city, with hostile
//! names, is shown at once.
//!
//! It leaves pictures of the page in both colour schemes in `target/.../tmp`.

mod chromium;

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use chromium::Page;
use serde_json::{Value, json};
use smart_city_demo::{
    city::{DEVICES, PARTNER, STREAMS, USERS},
    gateway::Gateway,
    stage::Stage,
};
use smart_city_frame::Verdict;
use smart_city_incidents::stix;

const VICTIM: usize = 12;
const OPEN_GATE: u16 = 2;
/// Others, whose code is not altered.
const INTACT: [usize; 6] = [0, 7, 18, 31, 36, 44];

/// The rows of the list that are there.
const ROWS: &str = "[...document.querySelectorAll('#rows [role=option]')]";

fn open(stage: &Stage) -> Page {
    Page::open(&format!("http://{}/", stage.gateway.http))
}

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
    page.wait("document.getElementById('connection').textContent", &json!("live"));
}

/// The number that the page shows for a state, or for what devices may be besides.
fn count(state: &str) -> String {
    format!("document.querySelector('#counts [data-state={state}] b').textContent")
}

/// Shows the devices of a state alone.
fn filter(state: &str) -> String {
    format!("document.querySelector('#counts [data-state={state}] input').click()")
}

/// Looks for a text.
fn search(text: &str) -> String {
    format!(
        "document.getElementById('search').value = '{text}'; \
         document.getElementById('search').dispatchEvent(new Event('input'))"
    )
}

/// Leaves pictures in both colour schemes.
fn take_pictures(page: &mut Page, name: &str) {
    for scheme in ["light", "dark"] {
        let picture = page.picture(scheme);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{scheme}.png"));
        fs::write(path, picture).unwrap();
    }
}

#[test]
fn a_tampered_device_is_shown_isolated_then_recovered() {
    let mut stage = Stage::set(&Gateway::program().unwrap(), None).unwrap();
    let mut page = open(&stage);
    log_in(&mut page, &stage);
    page.wait(&count("all"), &json!(DEVICES.to_string()));
    page.wait(&count("silent"), &json!(DEVICES.to_string()));

    // The page was there before the first reading: all of this comes as it happens.
    stage.measure(480, None).unwrap();
    stage.receipts(None).unwrap();
    page.wait(&count("silent"), &json!("0"));
    for index in INTACT {
        assert_eq!(stage.instruct(index, OPEN_GATE).unwrap(), Verdict::Intact);
    }
    page.wait(&count("affirming"), &json!(INTACT.len().to_string()));
    assert_eq!(stage.instruct(VICTIM, OPEN_GATE).unwrap(), Verdict::Intact);
    page.wait(&count("affirming"), &json!((INTACT.len() + 1).to_string()));

    // The search narrows the list, and so does a state.
    let (id, name) = (stage.id(VICTIM).to_string(), stage.device(VICTIM).name.clone());
    let names = format!("{ROWS}.map(row => row.querySelector('b').innerText)");
    page.evaluate(&search(&name.to_lowercase()));
    page.wait(&names, &json!([name]));
    page.wait("document.getElementById('found').innerText", &json!("1 found"));
    let device = format!("{ROWS}.find(row => row.dataset.device === '{id}')");
    page.wait(&format!("{device}.dataset.state"), &json!("affirming"));
    page.wait(&format!("{device}.innerText.includes('as built')"), &json!(true));
    page.wait(&format!("{device}.dataset.isolated"), &json!("false"));
    page.evaluate(&search("no such device"));
    page.wait(&names, &json!([]));
    page.evaluate(&search(""));
    page.evaluate(&filter("affirming"));
    page.wait(&format!("{names}.length"), &json!(INTACT.len() + 1));
    page.evaluate(&filter("silent"));
    page.wait(&names, &json!([]));
    page.evaluate(&filter("all"));
    page.wait(&format!("{names}.length > 5"), &json!(true));

    // Every stream has a line. At a click it says what was decided for every user, and why.
    let streams = "document.querySelectorAll('#flows details')";
    page.wait(&format!("{streams}.length"), &json!(STREAMS.len()));
    for stream in &STREAMS {
        let item = format!("document.querySelector('#flows [data-stream={}]')", stream.name);
        let devices = stage.city.devices.iter();
        let readings = devices.filter(|device| device.streams.iter().any(|own| own.id == stream.id)).count();
        let allowed = USERS.iter().filter(|user| stream.refusal(user).is_none()).count();
        let text = format!("{allowed} of {} users receive it; {readings} readings", USERS.len());
        page.wait(&format!("{item}.querySelector('summary span').innerText"), &json!(text));
        page.evaluate(&format!("{item}.querySelector('summary').click()"));
        let rows = format!(
            "[...{item}.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
        );
        page.wait(&format!("{rows}.length"), &json!(USERS.len()));
        for user in &USERS {
            let decision = if stream.refusal(user).is_none() { "✓ allowed" } else { "✗ refused" };
            let row = format!("{rows}.find(row => row[0] === '{}')", user.id);
            assert_eq!(page.evaluate(&format!("{row}[1]")), json!(decision));
            let has_reason = page.evaluate(&format!("{row}[2].length > 10")) == json!(true);
            assert_eq!(has_reason, stream.refusal(user).is_some(), "refusals have reasons");
            assert_eq!(page.evaluate(&format!("{row}[3]")), json!(readings.to_string()));
        }
        page.evaluate(&format!("{item}.querySelector('summary').click()"));
    }

    stage.patch(VICTIM, OPEN_GATE).unwrap();
    assert_eq!(stage.instruct(VICTIM, OPEN_GATE).unwrap(), Verdict::Altered);
    page.wait(&count("isolated"), &json!("1"));
    // Who is in trouble comes first; in words, not by colour alone; and announced.
    page.wait(&format!("{ROWS}[0].dataset.device"), &json!(id));
    for word in ["altered", "isolated"] {
        page.wait(&format!("{ROWS}[0].innerText.includes('{word}')"), &json!(true));
    }
    let announced = format!("{name} is isolated: code was altered.");
    page.wait("document.getElementById('announce').innerText", &json!(announced));
    let event = "document.querySelector('#timeline [data-event=isolated]').innerText.replace(/\\s+/g, ' ')";
    let reason = format!("{name} is isolated: open_gate is not what was built");
    page.wait(&format!("{event}.includes('{reason}')"), &json!(true));
    // One who chooses it there is told more.
    page.evaluate("document.querySelector('#timeline [data-event=isolated] button').click()");
    page.wait(&format!("document.getElementById('detail').innerText.includes('{id}')"), &json!(true));
    page.wait(&format!("{ROWS}[0].ariaSelected"), &json!("true"));
    page.evaluate("document.querySelector('#detail button').click()");
    page.wait("document.querySelectorAll('#flows details[open] tbody tr').length", &json!(USERS.len()));
    // There are rates after a while.
    page.wait(
        "/\\d frames accepted/.test(document.querySelector('#plots figcaption').innerText)",
        &json!(true),
    );
    take_pictures(&mut page, "page");

    stage.recover(VICTIM).unwrap();
    page.wait(&count("isolated"), &json!("0"));
    page.wait("document.getElementById('announce').innerText.includes('is recovered')", &json!(true));
    page.wait("document.querySelectorAll('#timeline [data-event=recovered]').length", &json!(1));

    // A fault of the configuration is shown, to who watches and to who comes, until it is mended.
    let fault = "document.getElementById('fault').hidden ? '' : document.getElementById('fault').innerText";
    assert_eq!(page.evaluate(fault), json!(""));
    let path = stage.city.config.clone();
    let right = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("nonsense = '<b>1</b>'\n{right}")).unwrap();
    let is_told = format!("({fault}).includes('city.toml:1: ') && ({fault}).includes('nonsense')");
    page.wait(&is_told, &json!(true));
    let mut other = open(&stage);
    log_in(&mut other, &stage);
    other.wait(&is_told, &json!(true));
    assert_eq!(page.evaluate("document.querySelectorAll('#fault *').length"), json!(0), "text alone");
    // Who comes later sees what has happened, and is not alarmed by it.
    other.wait("document.querySelectorAll('#timeline [data-event=isolated]').length", &json!(1));
    assert_eq!(other.evaluate("document.getElementById('announce').innerText"), json!(""));
    fs::write(&path, right).unwrap();
    for page in [&mut page, &mut other] {
        page.wait(fault, &json!(""));
    }

    other.evaluate("document.getElementById('log-out').click()");
    other.wait("document.getElementById('log-in').hidden", &json!(false));
    assert_eq!(other.evaluate(&format!("{ROWS}.length")), json!(0));

    // A gateway that is gone is not shown as if it were there.
    drop(stage);
    page.wait("document.getElementById('connection').hasAttribute('data-lost')", &json!(true));
}

/// Whoever has no pointer reaches everything, in the order in which it is read; and whoever does not see it is told what it is.
#[test]
fn the_keyboard_reaches_everything() {
    let mut stage = Stage::set(&Gateway::program().unwrap(), None).unwrap();
    let mut page = open(&stage);
    log_in(&mut page, &stage);
    stage.measure(480, None).unwrap();
    stage.receipts(None).unwrap();
    page.wait("document.querySelectorAll('#flows details').length", &json!(STREAMS.len()));
    page.wait(&count("silent"), &json!("0"));

    let mut tab = || {
        page.key("Tab");
        page.evaluate(
            "document.activeElement.id || document.activeElement.value || document.activeElement.localName",
        )
    };
    let stops: Vec<Value> = std::iter::repeat_with(&mut tab).take(40).collect();
    let begin =
        stops.iter().position(|stop| *stop == "log-out").expect("the focus reaches the first control");
    let expected = [
        "log-out", "all", "position", "zoom-in", "zoom-out", "zoom-all", "map", "search", "rows", "timeline",
        "summary", "summary", "summary", "summary",
    ];
    assert_eq!(stops[begin..begin + expected.len()], expected.map(|stop| json!(stop)), "{stops:?}");

    // States, the map, the list, and who receives what.
    page.evaluate("document.querySelector('[name=show]').focus()");
    page.key("ArrowRight");
    assert_eq!(page.evaluate("document.querySelector('[name=show]:checked').value"), json!("none"));
    page.evaluate("document.getElementById('map').focus()");
    let before = page.evaluate("document.getElementById('map').toDataURL()");
    page.key("ArrowRight");
    page.wait(
        &format!("document.getElementById('map').toDataURL() !== '{}'", before.as_str().unwrap()),
        &json!(true),
    );
    page.evaluate("document.getElementById('rows').focus()");
    for (key, at) in [("ArrowDown", 0), ("ArrowDown", 1), ("ArrowUp", 0), ("End", DEVICES - 1), ("Home", 0)] {
        page.key(key);
        let chosen =
            "document.getElementById(document.getElementById('rows').getAttribute('aria-activedescendant'))";
        page.wait(&format!("{chosen}.ariaPosInSet"), &json!((at + 1).to_string()));
        assert_eq!(page.evaluate(&format!("{chosen}.ariaSelected")), json!("true"));
    }
    page.wait("document.querySelectorAll('#detail dl').length", &json!(1));
    page.evaluate("document.querySelector('#flows summary').focus()");
    page.key("Enter");
    page.wait("document.querySelectorAll('#flows details[open] tbody tr').length", &json!(USERS.len()));

    // Everything that takes the focus or is a landmark has a name, and what is said aloud has a place.
    let nameless = page.nameless(&[
        "button",
        "radio",
        "searchbox",
        "listbox",
        "option",
        "region",
        "application",
        "list",
    ]);
    assert_eq!(nameless, Vec::<String>::new());
    for (selector, number) in
        [("main", 1), ("header", 1), ("[role=alert]", 3), ("[role=status]", 2), ("h1", 1)]
    {
        let found = page.evaluate(&format!("document.querySelectorAll('{selector}').length"));
        assert_eq!(found, json!(number), "{selector}");
    }
}

/// Another city's device that is isolated there is shown, with what becomes of it here, until an operator clears the report.
#[test]
fn what_is_not_believed_is_shown() {
    let stage = Stage::set(&Gateway::program().unwrap(), None).unwrap();
    let mut page = open(&stage);
    log_in(&mut page, &stage);
    let is_hidden = "document.getElementById('doubts').hidden";
    assert_eq!(page.evaluate(is_hidden), json!(true));

    let (device, time) = ("70b3d5fffe0000aa", "2026-01-02T03:04:05Z");
    let incident = stix::incident(PARTNER, device, time.parse().unwrap());
    let told = json!({ "objects": [{
        "type": "incident", "spec_version": "2.1", "id": incident, "created": time, "modified": time,
        "created_by_ref": stix::identity(PARTNER),
        "extensions": { stix::extension(): {
            "extension_type": "property-extension", "city": PARTNER, "device": device, "state": "isolated",
        } },
    }] });
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/taxii+json;version=2.1\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{told}",
        told.to_string().len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let collection = format!("http://{}/incidents", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    let path = &stage.city.config;
    fs::write(path.with_file_name("incidents-token"), "0".repeat(64)).unwrap();
    let city = fs::read_to_string(path).unwrap();
    let cells = "[...document.querySelectorAll('#doubts tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))";
    let mut shows = |trust: &str| {
        page.wait(
            &format!("{cells}.map(([city, device, trust, since, id]) => [city, device, trust, since.length > 4, id])"),
            &json!([[PARTNER, device, trust, true, incident]]),
        );
        assert_eq!(page.evaluate(is_hidden), json!(false));
    };
    for (trust, text) in [("hold", "▣ held back"), ("mark", "▲ marked"), ("ignore", "○ as others")] {
        let partner = format!(
            "\n[[partners]]\ncity = \"{PARTNER}\"\n[partners.incidents]\ncollection = \"{collection}\"\n\
             token = \"incidents-token\"\ntrust = \"{trust}\"\n"
        );
        fs::write(path, format!("{city}{partner}")).unwrap();
        shows(text);
    }
    let mut clearing = TcpStream::connect(stage.gateway.http).unwrap();
    write!(
        clearing,
        "POST /cities/{PARTNER}/incidents/{incident}/clear HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
         Authorization: Bearer {}\r\n\r\n",
        stage.city.operator_token
    )
    .unwrap();
    shows("○ cleared by an operator");
}

/// What makes trouble if it is taken for anything but a name.
const HOSTILE: [&str; 7] = [
    "<img src=x onerror='document.title=1'>",
    "</b></div><script>document.title=1</script>",
    "\u{202e}reversed\u{2066}",
    "__proto__",
    "'\"&lt;\u{1}",
    "Z\u{335}\u{321}\u{334}a\u{335}\u{321}l\u{338}\u{322}g\u{337}o",
    "",
];

/// 10,000 devices come at a reload: what there is on the page, and what goes over the network, is bounded.
#[test]
fn a_large_city_is_shown() {
    const CROWD: u16 = 10_000;
    let mut stage = Stage::set(&Gateway::program().unwrap(), None).unwrap();
    let mut page = open(&stage);
    log_in(&mut page, &stage);
    page.wait(&count("all"), &json!(DEVICES.to_string()));
    let [mut city, mut secrets] =
        [&stage.city.config, &stage.city.secrets].map(|path| fs::read_to_string(path).unwrap());
    for i in 0..CROWD {
        let id = format!("70b3d5fffe01{i:04x}");
        let name =
            HOSTILE.get(usize::from(i)).map_or_else(|| format!("Sensor {i}"), |name| (*name).to_owned());
        let (column, row) = (i % 125, i / 125);
        let (longitude, latitude) = (139.7 + f64::from(column) * 0.001, 35.6 + f64::from(row) * 0.001);
        write!(
            city,
            "\n[[devices]]\nid = \"{id}\"\nname = {}\nplace = [{}, {}]\nposition = [{longitude:.4}, {latitude:.4}]\n\
             image = \"demo\"\nstreams = [\"weather\"]\n",
            json!(name), 20 + column, 20 + row,
        )
        .unwrap();
        write!(secrets, "\n[devices.{id}]\nroot_key = \"1{i:031x}\"\nmqtt_password = \"password-{i}\"\n")
            .unwrap();
    }
    let before = page.busy();
    fs::write(&stage.city.config, city).unwrap();
    fs::write(&stage.city.secrets, secrets).unwrap();
    page.wait(&format!("{ROWS}[0].ariaSetSize"), &json!("10050"));
    assert_eq!(page.evaluate(&count("all")), json!("10,050"));
    let loaded = page.busy() - before;

    // Somebody uses it while readings come.
    let (start, before) = (Instant::now(), page.busy());
    for minute in 480..500 {
        stage.measure(minute, None).unwrap();
        page.evaluate(&search(if minute % 2 == 0 { "sensor 1" } else { "" }));
        page.evaluate("document.getElementById('rows').scrollTop += 20000");
        page.evaluate(&format!(
            "document.getElementById('zoom-{}').click()",
            if minute % 2 == 0 { "in" } else { "out" }
        ));
        thread::sleep(Duration::from_millis(250));
    }
    let used = (page.busy() - before) / start.elapsed().as_secs_f64();
    stage.receipts(None).unwrap();
    page.evaluate(&search(""));
    page.wait(&count("silent"), &json!("10,000"));
    let (start, before) = (Instant::now(), page.busy());
    for minute in 500..510 {
        stage.measure(minute, None).unwrap();
        thread::sleep(Duration::from_millis(500));
    }
    let idle = (page.busy() - before) / start.elapsed().as_secs_f64();
    let elements = page.evaluate("document.querySelectorAll('*').length").as_u64().unwrap();
    let height = page.evaluate("document.documentElement.scrollHeight").as_u64().unwrap();

    // Who has been told all is told no more of it, however many readings come.
    let mut watching = TcpStream::connect(stage.gateway.http).unwrap();
    watching.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let token = &stage.city.operator_token;
    write!(watching, "GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
        .unwrap();
    let mut received = |time: Duration| {
        let (start, mut bytes, mut buffer) = (Instant::now(), 0, [0; 65_536]);
        while start.elapsed() < time {
            bytes += watching.read(&mut buffer).unwrap_or(0);
        }
        bytes
    };
    let whole = received(Duration::from_secs(4));
    for minute in 510..515 {
        stage.measure(minute, None).unwrap();
    }
    let more = received(Duration::from_secs(5));
    println!(
        "10,050 devices: main thread busy for {loaded:.2} s until all were shown, {:.0} % of the time while it is used, {:.1} % \
         while readings come; {elements} elements, {height} pixels; {whole} bytes at first, {more} bytes in 5 s",
        100.0 * used,
        100.0 * idle,
    );
    assert!(elements < 600, "{elements} elements");
    assert!(height < 2000, "{height} pixels");
    assert!(whole > 1_000_000, "all devices: {whole} bytes");
    assert!(more < 10_000, "{more} bytes");

    // Names are texts.
    for (i, name) in HOSTILE.iter().enumerate() {
        page.evaluate(&search(&format!("70b3d5fffe01{i:04x}")));
        page.wait(&format!("{ROWS}.map(row => row.querySelector('b').textContent)"), &json!([name]));
        page.evaluate(&format!("{ROWS}[0].click()"));
        page.wait("document.querySelector('#detail h3').textContent", &json!(name));
    }
    assert_eq!(page.evaluate("document.title"), json!("Smart city gateway"));
    assert_eq!(page.evaluate("document.querySelectorAll('img, main script').length"), json!(0));
    // And if one were taken for HTML, the browser would not do it.
    let made =
        "(() => { try { document.body.innerHTML = '<b>1</b>'; return true } catch { return false } })()";
    assert_eq!(page.evaluate(made), json!(false));
    page.evaluate(&search(""));
    page.evaluate("document.getElementById('zoom-all').click()");
    take_pictures(&mut page, "page-large");
}
