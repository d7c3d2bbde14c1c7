//! Queries: clauses 4.7, 4.9, 4.10, 4.12, 4.13, 4.17, 5.7.2, 6.4.3.2, 6.23.

use super::*;

fn town() -> City {
    let city = City::new();
    for (i, (kind, extra)) in [
        ("Car", json!({ "speed": 50, "plate": "AB-1", "location": { "type": "Point", "coordinates": [0.0, 0.0] } })),
        ("Car", json!({ "speed": 80, "plate": "CD-2", "owner": { "object": "urn:p:1" }, "location": { "type": "Point", "coordinates": [1.0, 1.0] } })),
        ("Bus", json!({ "speed": { "value": 80, "observedAt": "2026-01-01T10:00:00Z", "unitCode": "KMH" }, "tags": { "value": ["a", "b"] } })),
        ("Bus", json!({ "open": true, "address": { "value": { "town": "x", "no": 5 } }, "name": { "languageMap": { "en": "a", "fr": "b" } } })),
        ("Tram", json!({ "speed": { "value": 10, "accuracy": { "value": 2, "by": { "value": "m" } } }, "since": { "value": { "@type": "DateTime", "@value": "2025-06-01T00:00:00Z" } } })),
    ]
    .into_iter()
    .enumerate()
    {
        let mut entity = json!({ "id": format!("urn:v:{i}"), "type": kind });
        entity.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        city.post("ann", "POST entities", &entity).is(201);
    }
    city
}

/// The last figures of the ids that are found.
#[track_caller]
fn found(city: &City, query: &str) -> String {
    let encoded = query
        .replace('"', "%22")
        .replace(' ', "%20")
        .replace('<', "%3C")
        .replace('>', "%3E")
        .replace('|', "%7C")
        .replace('^', "%5E");
    city.ids("ann", &encoded).iter().map(|id| &id["urn:v:".len()..]).collect()
}

#[test]
fn c4_17_types_ids_and_patterns() {
    let city = town();
    for (query, expected) in [
        ("type=Car", "01"),
        ("type=Car,Bus", "0123"),
        ("type=Car|Tram", "014"),
        ("type=(Car;Bus)|Tram", "4"),
        ("type=https://uri.etsi.org/ngsi-ld/default-context/Bus", "23"),
        ("type=Nothing", ""),
        ("type=Car,Bus&id=urn:v:1,urn:v:2,urn:v:4", "12"),
        ("type=Car,Bus&idPattern=v:[02]$", "02"),
        ("type=Car&attrs=owner", "1"),
        ("attrs=speed,open", "01234"),
        // All of here.
        ("type=*", "01234"),
        ("local=true", "01234"),
    ] {
        assert_eq!(found(&city, query), expected, "{query}");
    }
    let some = city.get("ann", "entities?type=Bus&attrs=open&options=keyValues").is(200);
    assert_eq!(some, json!([{ "id": "urn:v:3", "type": "Bus", "open": true }]));
}

#[test]
fn c4_9_the_query_language() {
    let city = town();
    for (q, expected) in [
        ("speed", "0124"),
        ("speed==80", "12"),
        ("speed!=80", "04"),
        ("speed>50", "12"),
        ("speed>=50", "012"),
        ("speed<50", "4"),
        ("speed<=50", "04"),
        ("speed==20..60", "0"),
        ("speed!=20..60", "124"),
        ("speed==10,50", "04"),
        ("speed!=10,50", "12"),
        // The object of a relationship is equal or not, and nothing else.
        ("owner==urn:p:1", "1"),
        ("owner!=urn:p:2", "1"),
        ("owner>\"urn:a\"", ""),
        ("owner~=urn", ""),
        // In any language, or in none.
        ("name[*]==\"b\"", "3"),
        ("name[*]!=\"b\"", ""),
        ("name[*]!=\"c\"", "3"),
        ("speed==80;owner", "1"),
        ("speed==80|speed==10", "124"),
        ("(speed==80|speed==10);owner", "1"),
        ("speed==10|speed==80;owner", "14"),
        ("plate==\"AB-1\"", "0"),
        ("plate==\"AB-1\",\"CD-2\"", "01"),
        ("plate==\"A;B\"", ""),
        ("plate~=\"^A\"", "0"),
        ("plate~=^(A|C)", "01"),
        ("plate!~=^A", "1"),
        ("plate~=^[A-Z][A-Z]-\\d$", "01"),
        ("plate~=(?i)^cd", "1"),
        ("plate>\"B\"", "1"),
        ("open==true", "3"),
        ("open==false", ""),
        ("tags==\"b\"", "2"),
        ("tags!=\"b\"", ""),
        ("owner==urn:p:1", "1"),
        ("owner==\"urn:p:1\"", "1"),
        ("address[town]==\"x\"", "3"),
        ("address[no]>4", "3"),
        ("address[town.x]", ""),
        ("address[street]", ""),
        ("name[fr]==\"b\"", "3"),
        ("name[*]==\"b\"", "3"),
        ("speed.accuracy==2", "4"),
        ("speed.accuracy.by==\"m\"", "4"),
        ("speed.unitCode==\"KMH\"", "2"),
        ("speed.observedAt>=2026-01-01T09:00:00Z", "2"),
        ("speed.observedAt>2026-01-01T10:00:00Z", ""),
        ("since<2025-07-01T00:00:00Z", "4"),
        ("since==2025-05-01T00:00:00Z..2025-07-01T00:00:00Z", "4"),
        ("createdAt<=2026-01-01T00:00:00Z", "01234"),
        ("modifiedAt>2026-01-01T00:00:00Z", ""),
        ("speed==\"80\"", ""),
        ("other", ""),
        ("other!=1", ""),
    ] {
        assert_eq!(found(&city, &format!("type=Car,Bus,Tram&q={q}")), expected, "{q}");
    }
    for wrong in [
        "",
        "==1",
        "speed==",
        "speed==\"a",
        "(speed",
        "speed)",
        "speed;",
        ";speed",
        "speed||speed",
        "a b",
        "speed[",
        "speed[]",
        "speed[a..b]",
        "speed[a",
        "plate~=[",
        "speed=1",
        "speed===1",
        "@x",
    ] {
        let wrong = form_urlencoded::byte_serialize(wrong.as_bytes()).collect::<String>();
        city.get("ann", &format!("entities?type=Car&q={wrong}")).fails(400, "BadRequestData");
    }
    let deep = format!("{}a{}", "(".repeat(40), ")".repeat(40));
    let long = "a".repeat(5000);
    let wide = vec!["a"; 65].join(";");
    for complex in [deep.as_str(), &long, &wide, "a~=(a{1000}){1000}"] {
        let complex = form_urlencoded::byte_serialize(complex.as_bytes()).collect::<String>();
        city.get("ann", &format!("entities?type=Car&q={complex}")).fails(403, "TooComplexQuery");
    }
}

#[test]
fn c4_10_geo_queries() {
    let city = town();
    let square = "[[[-1,-1],[0.5,-1],[0.5,0.5],[-1,0.5],[-1,-1]]]";
    for (query, expected) in [
        ("georel=near;maxDistance==1000&geometry=Point&coordinates=[0,0.001]".to_owned(), "0"),
        ("georel=near;minDistance==1000&geometry=Point&coordinates=[0,0.001]".to_owned(), "1"),
        (
            "georel=near;maxDistance==200000&geometry=Point&coordinates=[0,0]&geoproperty=location"
                .to_owned(),
            "01",
        ),
        ("georel=near;maxDistance==200000&geometry=Point&coordinates=[0,0]&geoproperty=other".to_owned(), ""),
        (format!("georel=within&geometry=Polygon&coordinates={square}"), "0"),
        (format!("type=Bus&georel=within&geometry=Polygon&coordinates={square}"), ""),
    ] {
        let query = query.replace('[', "%5B").replace(']', "%5D");
        assert_eq!(found(&city, &query), expected, "{query}");
    }
    for (query, status, kind) in [
        ("georel=near;maxDistance==1&geometry=Point&coordinates=x", 400, "BadRequestData"),
        ("georel=near;maxDistance==1&geometry=Point", 400, "BadRequestData"),
        ("geometry=Point&coordinates=%5B1,2%5D", 400, "BadRequestData"),
        ("georel=near&geometry=Point&coordinates=%5B1,2%5D", 400, "BadRequestData"),
        ("georel=within&geometry=Point&coordinates=%5B1,2%5D", 400, "BadRequestData"),
        ("georel=contains&geometry=Point&coordinates=%5B1,2%5D", 422, "OperationNotSupported"),
        ("georel=intersects&geometry=Point&coordinates=%5B1,2%5D", 422, "OperationNotSupported"),
        ("georel=equals&geometry=Point&coordinates=%5B1,2%5D", 422, "OperationNotSupported"),
        ("georel=disjoint&geometry=Point&coordinates=%5B1,2%5D", 422, "OperationNotSupported"),
        ("georel=overlaps&geometry=Point&coordinates=%5B1,2%5D", 422, "OperationNotSupported"),
    ] {
        city.get("ann", &format!("entities?type=Car&{query}")).fails(status, kind);
    }
}

#[test]
fn c4_12_pages_and_c4_13_counts() {
    let city = town();
    let all = "entities?type=Car,Bus,Tram";
    let page = city.get("ann", &format!("{all}&limit=2&offset=2&count=true"));
    assert_eq!(page.header("ngsild-results-count"), "5");
    assert_eq!(found(&city, "type=Car,Bus,Tram&limit=2&offset=2"), "23");
    let links = page.header("link");
    assert!(
        links.contains(
            "</ngsi-ld/v1/entities?count=true&type=Car%2CBus%2CTram&limit=2&offset=0>; rel=\"prev\""
        ),
        "{links}"
    );
    assert!(links.contains("&limit=2&offset=4>; rel=\"next\""), "{links}");
    let last = city.get("ann", &format!("{all}&limit=2&offset=4"));
    assert!(!last.header("link").contains("next") && last.header("ngsild-results-count").is_empty());
    let none = city.get("ann", &format!("{all}&limit=0&count=true"));
    assert_eq!((none.is(200), none.header("ngsild-results-count")), (json!([]), "5".to_owned()));
    let none = city.get("ann", &format!("{all}&limit=0&options=count"));
    assert_eq!(none.header("ngsild-results-count"), "5");
    assert_eq!(found(&city, "type=Car&offset=99999999999"), "");
    city.get("ann", &format!("{all}&limit=0")).fails(400, "BadRequestData");
    city.get("ann", &format!("{all}&limit=-1")).fails(400, "BadRequestData");
    city.get("ann", &format!("{all}&offset=x")).fails(400, "BadRequestData");
    city.get("ann", &format!("{all}&limit=1001")).fails(403, "TooManyResults");
}

#[test]
fn c5_7_2_wrong_queries() {
    let city = town();
    for (query, status, kind) in [
        ("", 400, "BadRequestData"),
        ("id=urn:v:1", 400, "BadRequestData"),
        ("type=", 400, "BadRequestData"),
        ("type=Car;", 400, "BadRequestData"),
        ("type=Car&id=nouri", 400, "BadRequestData"),
        ("type=Car&idPattern=(", 400, "BadRequestData"),
        ("type=Car&type=Bus", 400, "InvalidRequest"),
        ("type=*&local=false", 400, "BadRequestData"),
        ("local=x", 400, "BadRequestData"),
    ] {
        city.get("ann", &format!("entities?{query}")).fails(status, kind);
    }
    let many = vec!["a"; 65].join(",");
    city.get("ann", &format!("entities?attrs={many}")).fails(400, "BadRequestData");
    city.get("ann", &format!("entities/urn:v:0?attrs={many}")).fails(400, "BadRequestData");
    let query = json!({ "type": "Query", "attrs": vec!["a"; 65] });
    city.post("ann", "POST entityOperations/query", &query).fails(400, "BadRequestData");
}

/// What is not here is refused wherever it can be asked for, as without it the answer would be another one.
#[test]
fn c5_7_what_is_not_here() {
    let city = town();
    for name in [
        "scopeQ",
        "csf",
        "join",
        "joinLevel",
        "containedBy",
        "entityMap",
        "pick",
        "omit",
        "datasetId",
        "orderBy",
        "temporalQ",
        "jsonldContext",
    ] {
        city.get("ann", &format!("entities?type=Car&{name}=a")).fails(422, "OperationNotSupported");
        city.get("ann", &format!("entities/urn:v:0?{name}=a")).fails(422, "OperationNotSupported");
        let (plain, with) =
            (json!({ "type": "Query", "q": "speed" }), json!({ "type": "Query", "q": "speed", name: "a" }));
        city.post("ann", "POST entityOperations/query", &with).fails(422, "OperationNotSupported");
        city.post("ann", &format!("POST entityOperations/query?{name}=a"), &plain)
            .fails(422, "OperationNotSupported");
    }
}

/// However much others have written, and whatever is asked: a request computes so much and not more.
#[test]
fn what_a_query_computes_is_bounded() {
    let city = City::new();
    let text = "a".repeat(4000);
    for i in 0..300 {
        let id = format!("urn:v:{i:0400}");
        city.post("ann", "POST entities", &json!({ "id": id, "type": "T", "a": text })).is(201);
    }
    let ring: Vec<_> =
        (0..999).map(|i| json!([f64::from(i).to_radians().cos(), f64::from(i).to_radians().sin()])).collect();
    let ring: Vec<_> = ring.iter().chain(&ring[..1]).collect();
    for i in 0..5 {
        let line = json!({ "type": "LineString", "coordinates": vec![[0.0, 0.0]; 1000] });
        city.post(
            "cid",
            "POST entities",
            &json!({ "id": format!("urn:l:{i}"), "type": "T", "location": line }),
        )
        .is(201);
    }
    city.post(
        "dan",
        "POST entities",
        &json!({ "id": "urn:n:1", "type": "T", "n": { "value": vec![2; 20_000] } }),
    )
    .is(201);
    let pattern = "(a|b|c|d)*(e|f|g|h)$";
    let terms = vec![format!("a~={pattern}"); 64].join("|");
    let ids = vec![json!({ "type": "T", "idPattern": pattern.replace('a', "0") }); 64];
    let times = vec!["2026-01-01T00:00:00Z"; 190].join(",");
    let place = json!({ "georel": "within", "geometry": "Polygon", "coordinates": [ring] });
    for (user, query) in [
        ("ann", json!({ "type": "Query", "q": terms })),
        ("ann", json!({ "type": "Query", "q": terms.replace("|a~=", ";a~=").replace("~=", "!~=") })),
        ("ann", json!({ "type": "Query", "entities": ids })),
        ("dan", json!({ "type": "Query", "q": format!("n=={}", vec!["1"; 2000].join(",")) })),
        ("dan", json!({ "type": "Query", "q": format!("n!={times}") })),
        ("cid", json!({ "type": "Query", "geoQ": place })),
    ] {
        let start = std::time::Instant::now();
        let answer = city.post(user, "POST entityOperations/query?limit=0&count=true", &query);
        println!("{:?} {}", start.elapsed(), answer.status);
        answer.fails(403, "TooComplexQuery");
    }
    // A usual one finds all of it.
    assert_eq!(city.get("ann", "entities?q=a~=a&limit=0&count=true").header("ngsild-results-count"), "300");
    let json = [("Content-Type", "application/json")];
    let large = json!({ "type": "Query", "q": "a~=[a-z]{300}" }).to_string();
    city.send("ann", "POST entityOperations/query", &json, &large).fails(403, "TooComplexQuery");
}

/// A long text matches no pattern.
#[test]
fn c4_9_patterns_are_tried_on_texts_of_so_many_bytes() {
    let city = City::new();
    for (i, length) in [4096, 4097].into_iter().enumerate() {
        let body = json!({ "id": format!("urn:v:{i}"), "type": "Car", "a": "x".repeat(length) });
        city.post("ann", "POST entities", &body).is(201);
    }
    assert_eq!((found(&city, "q=a~=x"), found(&city, "q=a!~=x")), ("0".to_owned(), "1".to_owned()));
}

/// The context of a request goes with each element of its answer, if that is not too much.
#[test]
fn c6_3_5_a_context_is_as_long_as_it_may_be() {
    let city = City::new();
    for i in 0..100 {
        city.post("ann", "POST entities", &json!({ "id": format!("urn:v:{i}"), "type": "T", "a": 1 }))
            .is(201);
    }
    let query = |length: usize, parameters: &str| {
        let body = json!({ "type": "Query", "q": "a", "@context": { "long": format!("urn:x:{}", "x".repeat(400)), "@language": "x".repeat(length) } });
        let headers = [("Content-Type", "application/ld+json"), ("Accept", "application/ld+json")];
        city.send("ann", &format!("POST entityOperations/query?{parameters}"), &headers, &body.to_string())
    };
    let answer = query(15_000, "limit=10").is(200);
    let elements = answer.as_array().unwrap();
    assert!(
        elements.len() == 10 && elements.iter().all(|element| element["@context"][0]["long"].is_string()),
        "{answer}"
    );
    query(15_000, "limit=100").fails(403, "TooManyResults");
    query(16_000, "limit=1").fails(400, "BadRequestData");
}

#[test]
fn c6_23_query_by_post() {
    let city = town();
    let post = |body: Value, parameters: &str| {
        city.post("ann", &format!("POST entityOperations/query{parameters}"), &body)
    };
    let body = json!({
        "type": "Query", "entities": [{ "type": "Car", "idPattern": "1$" }, { "type": "Tram" }], "attrs": ["speed"], "q": "speed>5",
    });
    let answer = post(body, "?options=keyValues&count=true");
    assert_eq!(
        answer.is(200),
        json!([{ "id": "urn:v:1", "type": "Car", "speed": 80 }, { "id": "urn:v:4", "type": "Tram", "speed": 10 }])
    );
    assert_eq!(answer.header("ngsild-results-count"), "2");
    let place = json!({ "georel": "near;maxDistance==1000", "geometry": "Point", "coordinates": [0, 0] });
    assert_eq!(post(json!({ "type": "Query", "geoQ": place }), "").is(200).as_array().unwrap().len(), 1);
    let language = post(json!({ "type": "Query", "q": "name", "lang": "fr" }), "?options=keyValues");
    assert_eq!(language.is(200)[0]["name"], "b");
    post(json!({ "type": "Query", "q": "name", "lang": 1 }), "").fails(400, "BadRequestData");
    let named = json!({ "type": "Query", "entities": [{ "type": "C" }], "@context": { "C": "https://uri.etsi.org/ngsi-ld/default-context/Car" } });
    assert_eq!(post(named.clone(), "").is(200).as_array().unwrap().len(), 2);
    let ld = city.send(
        "ann",
        "POST entityOperations/query",
        &[("Content-Type", "application/ld+json"), ("Accept", "application/ld+json")],
        &named.to_string(),
    );
    assert_eq!(
        (&ld.is(200)[0]["type"], &ld.is(200)[0]["@context"][0]["C"]),
        (&json!("C"), &named["@context"]["C"])
    );
    for wrong in [
        json!({}),
        json!({ "type": "Query" }),
        json!({ "type": "Other", "q": "a" }),
        json!({ "type": "Query", "entities": [] }),
        json!({ "type": "Query", "entities": [{ "id": "urn:v:1" }] }),
        json!({ "type": "Query", "entities": [{ "type": "Car", "id": "x" }] }),
        json!({ "type": "Query", "attrs": [] }),
        json!({ "type": "Query", "q": 1 }),
        json!({ "type": "Query", "geoQ": {} }),
        json!({ "type": "Query", "q": "a", "x": 1 }),
    ] {
        post(wrong, "").fails(400, "BadRequestData");
    }
}
