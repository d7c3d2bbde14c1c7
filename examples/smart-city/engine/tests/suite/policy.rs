//! The policies decide as the rules in words say, for every combination of attributes, and say why not.

use crate::common::{self, plain};
use smart_city_engine::{
    config::{StreamEntry, UserEntry},
    policy::Policy,
};
use smart_city_frame::{Class, Stream};

const CITIES: [&str; 3] = ["midori", "aoba", "kaede"];

#[test]
fn a_policy_shows_its_users() {
    let dir = common::example();
    let (city, _) = common::files(dir.path());
    let policy = Policy::new(&city.users, &city.streams).unwrap();
    assert_eq!(format!("{policy:?}"), "Policy { users: [\"hana\", \"ren\", \"sora\"], .. }");
}

#[test]
fn all_combinations() {
    let dir = common::example();
    let (mut city, _) = common::files(dir.path());
    city.users.clear();
    city.streams.clear();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let departments =
        [names(&[]), names(&["traffic"]), names(&["weather", "rescue"]), names(&["traffic", "rescue"])];
    for home in CITIES {
        for (d, departments) in departments.iter().enumerate() {
            for level in 0..4 {
                let user = UserEntry { city: home.to_owned(), departments: departments.clone(), level };
                city.users.insert(format!("{home}-{d}-{level}"), user);
            }
        }
    }
    let mut id = 0;
    for class in [Class::Public, Class::Internal, Class::Confidential] {
        for departments in &departments[1..] {
            for partners in [names(&[]), names(&["aoba"])] {
                for min_level in [0, 2, 3] {
                    id += 1;
                    let stream = Stream { id: id.try_into().unwrap(), class };
                    let (name, owner) = (format!("stream-{id}"), "midori".to_owned());
                    let (departments, partners) = (departments.clone(), partners.clone());
                    city.streams.insert(
                        id,
                        StreamEntry {
                            stream,
                            name,
                            owner,
                            departments,
                            min_level,
                            partners,
                            content_type: "application/json".to_owned(),
                        },
                    );
                }
            }
        }
    }

    let policy = Policy::new(&city.users, &city.streams).unwrap();
    let (mut allowed, mut refused) = (0, 0);
    for (id, stream) in &city.streams {
        for device_ok in [true, false] {
            let decisions = policy.decide(*id, device_ok);
            for (user, decision) in policy.users().iter().zip(&*decisions) {
                let expected = plain(&city.users[user], stream, device_ok);
                assert_eq!(decision.allowed, expected, "{user} {stream:?}: {decision:?}");
                assert_eq!(decision.reason.is_empty(), expected);
                assert_eq!(policy.decide_for(&city.users[user], *id, device_ok), *decision, "by attributes");
                assert_ne!(
                    decision.reason, "no rule allows it",
                    "a refusal without a reason: {user} {stream:?}"
                );
                if expected { allowed += 1 } else { refused += 1 }
            }
        }
    }
    assert_eq!((allowed + refused, allowed > 500, refused > 500), (54 * 48 * 2, true, true));
}

/// However many attributes are asked for.
#[test]
fn attributes_are_remembered_and_forgotten() {
    let dir = common::example();
    let (city, _) = common::files(dir.path());
    let policy = Policy::new(&city.users, &city.streams).unwrap();
    for round in 0..2 {
        for i in 0..600 {
            let user = UserEntry {
                city: CITIES[i % 3].to_owned(),
                departments: vec![format!("department {i}"), "weather".to_owned()],
                level: u8::try_from(i % 10).unwrap(),
            };
            let decision = policy.decide_for(&user, 2, true);
            assert_eq!(decision.allowed, plain(&user, &city.streams[&2], true), "{round}: {user:?}");
        }
    }
    let user = &city.users["hana"];
    assert!(policy.decide_for(user, 1, true).allowed && !policy.decide_for(user, 99, true).allowed);
}
