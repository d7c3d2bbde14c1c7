//! Who is in the city is changed by commands, in whole files or not at all.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::Path,
    thread,
};

use crate::common::{self, GATE, MAST};
use smart_city_cities::keys::{CityKeys, OwnKeys, Step, names};
use smart_city_devices::provision::Provisioned;
use smart_city_engine::config::Role;
use smart_city_frame::DeviceId;
use smart_city_gateway::admin::{self, Files, NewDevice, NewUser};

const NEW: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 9]);

fn files(dir: &Path) -> Files {
    Files { city: dir.join("city.toml"), secrets: dir.join("secrets.toml") }
}

fn lamp() -> NewDevice {
    NewDevice {
        id: NEW,
        name: "Lamp \"9\"".to_owned(),
        place: [9, 9],
        position: Some([-139.5, 35.25]),
        image: "gate-1.0".to_owned(),
        streams: vec!["gate-camera".to_owned(), "traffic-flow".to_owned()],
    }
}

fn user() -> NewUser {
    NewUser {
        id: "yui".to_owned(),
        city: "midori".to_owned(),
        departments: vec!["rescue".to_owned()],
        level: 3,
        sends_only: false,
    }
}

fn texts(dir: &Path) -> [String; 2] {
    ["city.toml", "secrets.toml"].map(|name| fs::read_to_string(dir.join(name)).unwrap())
}

/// Everything that is handed out by a command.
fn handed_out(command: impl FnOnce(&mut dyn FnMut(&str) -> io::Result<()>) -> anyhow::Result<()>) -> String {
    let mut text = String::new();
    command(&mut |part| {
        text.push_str(part);
        Ok(())
    })
    .unwrap();
    text
}

/// What goes on a device, as the device reads it.
fn read(text: &str) -> Provisioned {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, text).unwrap();
    Provisioned::read(file.path()).unwrap()
}

#[test]
fn devices_are_added_rotated_and_removed() {
    let dir = common::example();
    let (files, before) = (files(dir.path()), texts(dir.path()));
    let given = read(&handed_out(|out| files.provision(&lamp(), out)));
    assert_eq!(given.id, NEW);
    let (city, secrets) = common::files(dir.path());
    let entry = &city.devices[&NEW];
    assert_eq!((entry.name.as_str(), entry.place, entry.image.as_str()), ("Lamp \"9\"", [9, 9], "gate-1.0"));
    assert_eq!((entry.position, entry.streams.as_slice()), (Some([-139.5, 35.25]), &[3, 1][..]));
    let streams: Vec<_> = given.streams.iter().map(|measured| measured.stream).collect();
    assert_eq!(streams, [city.streams[&3].stream, city.streams[&1].stream]);
    let (root_key, password) = &secrets.devices[&NEW];
    assert_eq!(root_key.fingerprint(NEW), given.root_key.fingerprint(NEW));
    assert!(password.matches(given.mqtt_password.as_str().as_bytes()));

    let again = read(&handed_out(|out| files.rotate(NEW, out)));
    let rotated = common::files(dir.path()).1;
    let (new_key, new_password) = &rotated.devices[&NEW];
    assert_eq!(new_key.fingerprint(NEW), again.root_key.fingerprint(NEW));
    assert_ne!(new_key.fingerprint(NEW), root_key.fingerprint(NEW));
    assert!(!new_password.matches(given.mqtt_password.as_str().as_bytes()));
    assert_eq!(rotated.devices[&GATE].0.fingerprint(GATE), secrets.devices[&GATE].0.fingerprint(GATE));

    // One of a city with several gateways knows into how many shards they have divided the devices.
    assert_eq!((given.shards, again.shards), (None, None));
    let table = "[cluster]\ndatabase = \"host=localhost\"\nshards = 16\n";
    let alone = texts(dir.path())[0].clone();
    fs::write(dir.path().join("city.toml"), format!("{alone}\n{table}")).unwrap();
    assert_eq!(read(&handed_out(|out| files.rotate(NEW, out))).shards, Some(16));
    fs::write(dir.path().join("city.toml"), alone).unwrap();

    files.remove_device(NEW).unwrap();
    assert_eq!(texts(dir.path()), before, "not a byte of what others wrote is different");
    // What stands beside a value stays too.
    handed_out(|out| files.rotate(GATE, out));
    let [city, secrets] = texts(dir.path());
    assert!(city == before[0] && secrets != before[1]);
    assert!(secrets.contains("# 32 hex digits, each device's own"));
}

#[test]
fn users_are_added_and_removed() {
    let dir = common::example();
    let (files, before) = (files(dir.path()), texts(dir.path()));
    let first = handed_out(|out| files.add_user(&user(), out));
    let (city, secrets) = common::files(dir.path());
    let entry = &city.users["yui"];
    assert_eq!(
        (entry.city.as_str(), &entry.departments[..], entry.level),
        ("midori", &["rescue".to_owned()][..], 3)
    );
    assert!(secrets.users["yui"].matches(first.as_bytes()));
    let second = handed_out(|out| files.change_password("yui", out));
    assert_ne!(first, second);
    assert!(common::files(dir.path()).1.users["yui"].matches(second.as_bytes()));
    files.remove_user("yui").unwrap();
    assert_eq!(texts(dir.path()), before);
}

#[test]
fn operators_are_added_and_removed() {
    let dir = common::example();
    let (files, before) = (files(dir.path()), texts(dir.path()));
    let first = handed_out(|out| files.add_operator("yui", Role::Auditor, out));
    let role_of = |token: &str| {
        let secrets = common::files(dir.path()).1;
        secrets.operator(token.as_bytes()).map(|(name, operator)| (name.to_owned(), operator.role))
    };
    assert_eq!(role_of(&first), Some(("yui".to_owned(), Role::Auditor)));
    assert!(!texts(dir.path())[1].contains(&first), "the token itself is with nobody but its owner");
    let second = handed_out(|out| files.change_token("yui", out));
    assert_eq!((role_of(&first), role_of(&second)), (None, Some(("yui".to_owned(), Role::Auditor))));
    files.remove_operator("yui").unwrap();
    assert_eq!(texts(dir.path()), before);
}

/// Whatever is wrong, both files are as they were, and nothing lies beside them.
#[test]
fn what_fails_changes_nothing() {
    let dir = common::example();
    let (files, before) = (files(dir.path()), texts(dir.path()));
    let count = || fs::read_dir(dir.path()).unwrap().count();
    let entries = count();
    let unheard = |_: &str| -> io::Result<()> { panic!("nothing is handed out") };
    let fault = |result: anyhow::Result<()>, what: &str| {
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.contains(what), "{error}");
        assert_eq!(texts(dir.path()), before, "{what}");
        assert_eq!(count(), entries, "{what}");
    };
    fault(files.provision(&NewDevice { id: GATE, ..lamp() }, unheard), "there already");
    fault(files.provision(&NewDevice { place: [7, 1], ..lamp() }, unheard), "city.toml:");
    fault(
        files.provision(&NewDevice { image: "none".to_owned(), ..lamp() }, unheard),
        "there is no image `none`",
    );
    fault(files.provision(&NewDevice { streams: vec!["none".to_owned()], ..lamp() }, unheard), "`none`");
    fault(files.rotate(NEW, unheard), "no device");
    fault(files.remove_device(NEW), "no device");
    fault(files.add_user(&NewUser { id: "hana".to_owned(), ..user() }, unheard), "there already");
    fault(files.add_user(&NewUser { id: "a/b".to_owned(), ..user() }, unheard), "a name is");
    fault(files.add_user(&NewUser { level: 10, ..user() }, unheard), "level");
    fault(files.provision(&NewDevice { position: Some([0.0, 91.0]), ..lamp() }, unheard), "position");
    fault(files.provision(&NewDevice { position: Some([f64::NAN, 0.0]), ..lamp() }, unheard), "position");
    fault(files.add_user(&NewUser { city: "none".to_owned(), ..user() }, unheard), "`none`");
    fault(files.change_password("yui", unheard), "no user");
    fault(files.remove_user("yui"), "no user");
    fault(files.add_operator("kana", Role::Viewer, unheard), "there already");
    fault(files.add_operator("a/b", Role::Viewer, unheard), "a name is");
    fault(files.change_token("yui", unheard), "no operator");
    fault(files.remove_operator("yui"), "no operator");
    // A full disk, or a closed pipe, where the output goes.
    let full = |_: &str| Err(io::ErrorKind::StorageFull.into());
    fault(files.provision(&lamp(), full), "nothing was changed");
    fault(files.rotate(MAST, full), "nothing was changed");
    fault(files.add_user(&user(), full), "nothing was changed");
    // A fault that was there is named, and stays.
    fs::write(dir.path().join("city.toml"), format!("{}\n[[devices]]\n", before[0])).unwrap();
    let error = format!("{:#}", files.rotate(MAST, unheard).unwrap_err());
    assert!(error.contains("have a fault already") && error.contains("city.toml:"), "{error}");
    // No secret is shown where the other file is broken.
    fs::write(dir.path().join("city.toml"), &before[0]).unwrap();
    fs::write(dir.path().join("secrets.toml"), before[1].replace("example-hana\"", "example-hana")).unwrap();
    let error = format!("{:#}", files.rotate(MAST, unheard).unwrap_err());
    assert!(error.contains("secrets.toml:") && !error.contains("example-hana"), "{error}");
}

#[test]
fn files_stay_where_they_are_and_private() {
    let dir = common::example();
    let elsewhere = tempfile::tempdir().unwrap();
    for (i, name) in (10..).zip(["city.toml", "secrets.toml"]) {
        let [link, target] = [dir.path(), elsewhere.path()].map(|dir| dir.join(name));
        fs::rename(&link, &target).unwrap();
        symlink(&target, &link).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        // Only root can do this.
        let _ = chown(&target, Some(12_345), Some(54_321));
        let before = fs::metadata(&target).unwrap();
        // What a command left that was killed, or somebody else put there.
        let planted = elsewhere.path().join(format!(".{name}.new"));
        symlink(elsewhere.path().join("planted"), planted).unwrap();
        handed_out(|out| {
            files(dir.path())
                .provision(&NewDevice { place: [i.into(), 9], id: DeviceId([i; 8]), ..lamp() }, out)
        });
        let after = fs::metadata(&target).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(after.permissions().mode() & 0o777, 0o640);
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    }
    let names = fs::read_dir(elsewhere.path()).unwrap().count();
    assert_eq!(names, 2, "nothing lies beside the files, and nothing was written through a link");
}

/// The second of two files cannot be replaced: the first is put back.
#[test]
fn no_file_is_changed_without_the_other() {
    let dir = common::example();
    let (files, before) = (files(dir.path()), texts(dir.path()));
    fs::create_dir(dir.path().join(".secrets.toml.new")).unwrap();
    let error = format!("{:#}", files.provision(&lamp(), |_| Ok(())).unwrap_err());
    assert!(
        error.contains("nothing was changed") && error.contains("secrets.toml cannot be replaced"),
        "{error}"
    );
    assert!(files.remove_user("hana").is_err());
    assert_eq!(texts(dir.path()), before);
    fs::rename(dir.path().join(".secrets.toml.new"), dir.path().join(".city.toml.new")).unwrap();
    assert!(files.provision(&lamp(), |_| Ok(())).is_err());
    assert_eq!(texts(dir.path()), before);
    // What changes one file alone needs no other.
    handed_out(|out| files.rotate(GATE, out));
    assert_eq!(texts(dir.path())[0], before[0]);
}

#[test]
fn what_somebody_else_writes_meanwhile_is_not_lost() {
    let dir = common::example();
    let path = dir.path().join("city.toml");
    let edited = fs::read_to_string(&path).unwrap() + "\n# a note\n";
    let write = |_: &str| fs::write(&path, &edited);
    let error = format!("{:#}", files(dir.path()).provision(&lamp(), write).unwrap_err());
    assert!(error.contains("somebody else"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), edited);
    assert!(!common::files(dir.path()).0.devices.contains_key(&NEW));
}

#[test]
fn an_empty_list_takes_its_first_entry() {
    let dir = common::example();
    let [city, secrets] = texts(dir.path());
    let (city, secrets) =
        (&city[..city.find("[[devices]]").unwrap()], &secrets[..secrets.find("[devices.").unwrap()]);
    fs::write(dir.path().join("city.toml"), format!("devices = []\nusers = []\n{city}")).unwrap();
    fs::write(dir.path().join("secrets.toml"), secrets).unwrap();
    handed_out(|out| files(dir.path()).provision(&lamp(), out));
    handed_out(|out| files(dir.path()).add_user(&user(), out));
    let (city, _) = common::files(dir.path());
    assert!(city.devices.contains_key(&NEW) && city.users.contains_key("yui"));
}

/// Commands wait for each other: no change is lost.
#[test]
fn commands_at_the_same_time_all_happen() {
    let dir = common::example();
    let files = files(dir.path());
    thread::scope(|scope| {
        for i in 0..20 {
            let files = &files;
            scope.spawn(move || {
                files.add_user(&NewUser { id: format!("user-{i}"), ..user() }, |_| Ok(())).unwrap();
            });
        }
    });
    let (city, _) = common::files(dir.path());
    assert_eq!(city.users.keys().filter(|id| id.starts_with("user-")).count(), 20);
}

/// The keys for other cities: what partners get goes out before the file is changed, and has nothing private.
#[test]
fn keys_of_cities_are_rotated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own.json");
    let text = || fs::read_to_string(&path).unwrap();
    for step in [Step::Use, Step::Drop] {
        assert!(admin::city_keys(&path, step, |_| Ok(())).is_err(), "{step:?}");
    }
    let mut counts = Vec::new();
    for step in [Step::Add, Step::Add, Step::Use, Step::Drop] {
        let before = fs::read_to_string(&path).ok();
        let closed = admin::city_keys(&path, step, |_| Err(io::Error::other("closed")));
        assert!(closed.is_err() && fs::read_to_string(&path).ok() == before, "{step:?}");
        let public = handed_out(|out| admin::city_keys(&path, step, out));
        CityKeys::parse(&public).unwrap();
        OwnKeys::parse(&text()).unwrap();
        assert_eq!(names(&public).unwrap(), names(&text()).unwrap());
        counts.push(names(&public).unwrap().len());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(counts, [2, 4, 4, 2]);
    fs::write(&path, "{}").unwrap();
    let error = format!("{:#}", admin::city_keys(&path, Step::Add, |_| Ok(())).unwrap_err());
    assert!(error.contains("own.json") && text() == "{}", "{error}");
}
