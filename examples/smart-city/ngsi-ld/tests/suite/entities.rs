//! Entities and their attributes: clauses 4.5, 5.6, 5.7.1, 6.4 to 6.7, 6.14 to 6.17.

use super::*;

fn building() -> Value {
    json!({
        "id": "urn:b:1", "type": "Building",
        "name": { "type": "Property", "value": "Tower", "observedAt": "2026-01-01T00:00:00.000Z" },
        "height": { "type": "Property", "value": 12.5, "unitCode": "MTR" },
        "near": { "type": "Relationship", "object": "urn:b:2" },
        "location": { "type": "GeoProperty", "value": { "type": "Point", "coordinates": [1.0, 2.0] } },
    })
}

#[test]
fn c5_6_1_create_and_c5_7_1_retrieve() {
    let city = City::new();
    let created = city.post("ann", "POST entities", &building());
    assert_eq!(created.is(201), Value::Null);
    assert_eq!(created.header("location"), "/ngsi-ld/v1/entities/urn:b:1");
    let answer = city.get("ann", "entities/urn:b:1");
    assert_eq!(answer.is(200), building());
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(
        answer
            .header("link")
            .starts_with("<https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.6.jsonld>; rel=")
    );
    city.post("ann", "POST entities", &building()).fails(409, "AlreadyExists");
    assert_eq!(city.get("ann", "entities/urn%3Ab%3A1").is(200), building());
    let system = city.get("ann", "entities/urn:b:1?options=sysAttrs").is(200);
    assert_eq!(
        (&system["createdAt"], &system["height"]["modifiedAt"]),
        (&json!("2026-01-01T00:00:00.000Z"), &json!("2026-01-01T00:00:00.000Z"))
    );
}

#[test]
fn c4_5_representations() {
    let city = City::new();
    city.post("ann", "POST entities", &building()).is(201);
    let point = json!({ "type": "Point", "coordinates": [1.0, 2.0] });
    let simplified = json!({
        "id": "urn:b:1", "type": "Building", "name": "Tower", "height": 12.5, "near": "urn:b:2", "location": point,
    });
    for query in ["options=keyValues", "options=simplified", "format=simplified"] {
        assert_eq!(city.get("ann", &format!("entities/urn:b:1?{query}")).is(200), simplified);
    }
    let concise = json!({
        "id": "urn:b:1", "type": "Building", "name": { "value": "Tower", "observedAt": "2026-01-01T00:00:00.000Z" },
        "height": { "value": 12.5, "unitCode": "MTR" }, "near": { "object": "urn:b:2" }, "location": point,
    });
    assert_eq!(city.get("ann", "entities/urn:b:1?options=concise").is(200), concise);
    city.send("ann", "DELETE entities/urn:b:1", &[], "").is(204);
    city.post("ann", "POST entities", &concise).is(201);
    assert_eq!(city.get("ann", "entities/urn:b:1").is(200), building());
    city.get("ann", "entities/urn:b:1?options=xml").fails(400, "InvalidRequest");
    city.get("ann", "entities/urn:b:1?format=xml").fails(400, "BadRequestData");
}

#[test]
fn c5_7_1_attributes_and_types_of_a_retrieval() {
    let city = City::new();
    city.post("ann", "POST entities", &building()).is(201);
    let some = city.get("ann", "entities/urn:b:1?attrs=height,other&options=keyValues").is(200);
    assert_eq!(some, json!({ "id": "urn:b:1", "type": "Building", "height": 12.5 }));
    city.get("ann", "entities/urn:b:1?attrs=other").fails(404, "ResourceNotFound");
    city.get("ann", "entities/urn:b:1?attrs=a b".replace(' ', "%20").as_str()).fails(400, "BadRequestData");
    city.get("ann", "entities/urn:b:1?type=Building").is(200);
    city.get("ann", "entities/urn:b:1?type=Car").fails(404, "ResourceNotFound");
    city.get("ann", "entities/urn:b:2").fails(404, "ResourceNotFound");
    city.get("ann", "entities/nouri").fails(400, "BadRequestData");
}

#[test]
fn c5_6_1_wrong_entities() {
    let city = City::new();
    for wrong in [
        json!({ "type": "Building" }),
        json!({ "id": "urn:b:1" }),
        json!({ "id": "nouri", "type": "Building" }),
        json!({ "id": "urn:b:1", "type": "" }),
        json!({ "id": "urn:b:1", "type": 1 }),
        json!({ "id": "urn:b:1", "type": [] }),
        json!({ "id": "urn:b:1", "type": "Building", "a": null }),
        json!({ "id": "urn:b:1", "type": "Building", "a(": 1 }),
        json!({ "id": "urn:b:1", "type": "Building", "a": { "type": "Nothing", "value": 1 } }),
        json!({ "id": "urn:b:1", "type": "Building", "a": 1, "https://uri.etsi.org/ngsi-ld/default-context/a": 2 }),
        json!([1]),
        json!(1),
    ] {
        city.post("ann", "POST entities", &wrong).fails(400, "BadRequestData");
    }
    let json = [("Content-Type", "application/json")];
    city.send("ann", "POST entities", &json, "{").fails(400, "InvalidRequest");
    city.send("ann", "POST entities", &json, &"[".repeat(200)).fails(400, "InvalidRequest");
    // Of these there is the status alone.
    for headers in [&[("Content-Type", "text/plain")][..], &[]] {
        assert_eq!(city.send("ann", "POST entities", headers, "{}").is(415), Value::Null);
    }
    let long = format!("{{\"id\":\"urn:b:1\",\"type\":\"T\",\"a\":\"{}\"}}", "x".repeat(1 << 20));
    city.send("ann", "POST entities", &json, &long).fails(400, "InvalidRequest");
    city.get("ann", "entities/urn:b:1").fails(404, "ResourceNotFound");
}

#[test]
fn c6_3_5_contexts_of_requests_and_answers() {
    let city = City::new();
    let context = json!({ "Building": "https://example.org/Building", "name": "https://example.org/name" });
    let mut entity =
        json!({ "id": "urn:b:1", "type": "Building", "name": { "type": "Property", "value": "x" } });
    entity["@context"] = context.clone();
    city.post("ann", "POST entities", &entity).is(201);
    // Without the context the names are URIs.
    let plain = city.get("ann", "entities/urn:b:1").is(200);
    assert_eq!(
        plain,
        json!({
            "id": "urn:b:1", "type": "https://example.org/Building", "https://example.org/name": { "type": "Property", "value": "x" }
        })
    );
    let ld = city.send("ann", "GET entities/urn:b:1", &[("Accept", "application/ld+json")], "");
    assert_eq!(
        ld.is(200)["@context"],
        json!("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.6.jsonld")
    );
    assert_eq!(
        (ld.header("content-type"), ld.header("link")),
        ("application/ld+json".to_owned(), String::new())
    );
    // A known context by its address.
    let link =
        format!("<{TRAFFIC}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"");
    let body = json!({ "id": "urn:t:1", "type": "TrafficFlowObserved", "intensity": 5 }).to_string();
    city.send("ann", "POST entities", &[("Content-Type", "application/json"), ("Link", &link)], &body)
        .is(201);
    let answer = city.get_traffic("ann", "entities/urn:t:1?options=keyValues");
    assert_eq!(answer.is(200), json!({ "id": "urn:t:1", "type": "TrafficFlowObserved", "intensity": 5 }));
    assert_eq!(answer.header("link"), link);
    let ld = [("Accept", "application/ld+json"), ("Link", link.as_str())];
    assert_eq!(city.send("ann", "GET entities/urn:t:1", &ld, "").is(200)["@context"][0], TRAFFIC);
    // What does not go together.
    let ld_body = entity.to_string();
    let ld_kind = ("Content-Type", "application/ld+json");
    city.send("ann", "POST entities", &[ld_kind, ("Link", &link)], &ld_body).fails(400, "BadRequestData");
    city.send("ann", "POST entities", &[("Content-Type", "application/json")], &ld_body)
        .fails(400, "BadRequestData");
    city.send("ann", "POST entities", &[ld_kind], "{\"id\":\"urn:x:1\",\"type\":\"T\"}")
        .fails(400, "BadRequestData");
    // Nothing is fetched.
    let unknown = link.replace("smart-data", "dumb-data");
    city.send("ann", "GET entities/urn:t:1", &[("Link", &unknown)], "").fails(503, "LdContextNotAvailable");
    city.send("ann", "GET entities/urn:t:1", &[("Link", "x")], "").fails(400, "InvalidRequest");
    city.send("ann", "GET entities/urn:t:1", &[("Link", &link), ("Link", &link)], "")
        .fails(400, "InvalidRequest");
}

#[test]
fn c6_3_media_types_methods_and_tenants() {
    let city = City::new();
    city.post("ann", "POST entities", &building()).is(201);
    for (accept, expected) in [
        ("*/*", Some("application/json")),
        ("application/json;q=0.5, application/ld+json", Some("application/ld+json")),
        ("application/ld+json;q=0, application/*", Some("application/json")),
        ("application/ld+json", Some("application/ld+json")),
        // Of equals JSON is first (clause 6.3.4).
        ("application/ld+json, application/json", Some("application/json")),
        ("application/geo+json, application/json", Some("application/json")),
        ("application/geo+json, application/ld+json;q=0.1", Some("application/ld+json")),
        // What is named counts, and not what stands for all.
        ("application/json;q=0, */*", Some("application/ld+json")),
        ("*/*;q=0.9, application/ld+json;q=0.8", Some("application/json")),
        ("application/ld+json;q=x", Some("application/ld+json")),
        ("application/json;q=0", None),
        ("text/html", None),
        ("application/geo+json", None),
    ] {
        let answer = city.send("ann", "GET entities/urn:b:1", &[("Accept", accept)], "");
        match expected {
            Some(expected) => assert_eq!(answer.header("content-type"), expected, "{accept}"),
            None => answer.fails(406, ""),
        }
    }
    for (line, methods) in [
        ("PUT entities", "GET, POST"),
        ("POST entities/urn:b:1", "GET, PATCH, PUT, DELETE"),
        ("GET entities/urn:b:1/attrs", "POST, PATCH"),
        ("DELETE entities/urn:b:1/attrs/", "POST, PATCH"),
        ("POST entities/urn:b:1/attrs/height", "PATCH, PUT, DELETE"),
        ("GET entityOperations/query", "POST"),
        ("POST types", "GET"),
        ("PATCH subscriptions/", "GET, POST"),
        ("PUT subscriptions/urn:s:1", "GET, PATCH, DELETE"),
    ] {
        let answer = city.send("ann", line, &[], "");
        answer.fails(405, "");
        assert_eq!(answer.header("allow"), methods, "{line}");
    }
    // There is no entity without an id.
    for line in ["PUT entities/", "PATCH entities/", "DELETE entities/", "PATCH entities//attrs"] {
        city.send("ann", line, &[], "").fails(400, "BadRequestData");
    }
    // What would be left away is refused.
    for line in ["GET entities?type=T&other=1", "GET types?other=1", "POST subscriptions?other=1"] {
        city.send("ann", line, &[], "").fails(400, "InvalidRequest");
    }
    for line in [
        "GET temporal/entities",
        "POST temporal/entities",
        "PATCH temporal/entities/urn:b:1/attrs/height",
        "POST temporal/entityOperations/query",
        "POST csourceSubscriptions?other=1",
        "POST csourceRegistrations",
        "GET csourceSubscriptions/x",
        "GET jsonldContexts",
    ] {
        city.send("ann", line, &[], "").fails(422, "OperationNotSupported");
    }
    for line in ["GET nothing", "GET entities/a/b/c/d", "POST entityOperations/other"] {
        city.send("ann", line, &[], "").fails(404, "ResourceNotFound");
    }
    city.send("ann", "GET entities/urn:b:1", &[("NGSILD-Tenant", "a")], "")
        .fails(501, "NoMultiTenantSupport");
}

#[test]
fn c5_6_2_update_attributes() {
    let city = City::new();
    city.post("ann", "POST entities", &building()).is(201);
    city.post("ann", "PATCH entities/urn:b:1/attrs", &json!({ "height": 20 })).is(204);
    // What is not there is appended.
    let some = json!({ "height": 30, "width": 4 });
    city.post("ann", "PATCH entities/urn:b:1/attrs", &some).is(204);
    let entity = city.get("ann", "entities/urn:b:1").is(200);
    // The whole attribute was replaced.
    assert_eq!(entity["height"], json!({ "type": "Property", "value": 30 }));
    assert_eq!(entity["width"]["value"], 4);
    city.post("ann", "PATCH entities/urn:b:2/attrs", &some).fails(404, "ResourceNotFound");
    city.post("ann", "PATCH entities/urn:b:1/attrs", &json!({ "height": { "type": "x" } }))
        .fails(400, "BadRequestData");
}

/// An attribute of each kind, with a default instance and one of `urn:d:1`.
fn instances() -> Value {
    let point = |x: i32| json!({ "type": "Point", "coordinates": [x, 1] });
    json!({
        "id": "urn:b:1", "type": "Building",
        "name": [{ "value": "a" }, { "value": "b", "datasetId": "urn:d:1" }],
        "owner": [{ "object": "urn:o:1" }, { "object": "urn:o:2", "datasetId": "urn:d:1" }],
        "location": [{ "value": point(1) }, { "value": point(2), "datasetId": "urn:d:1" }],
        "street": [{ "languageMap": { "en": "a" } }, { "languageMap": { "en": "b" }, "datasetId": "urn:d:1" }],
    })
}

/// Clauses 4.5.0, 5.6.2, 5.6.4, 5.6.17: an instance that is nothing is removed, and the other one stays.
#[test]
fn c5_6_2_instances_are_removed() {
    let nothing = "urn:ngsi-ld:null";
    for (name, mut fragment) in [
        ("name", json!({ "type": "Property", "value": nothing })),
        ("owner", json!({ "type": "Relationship", "object": nothing })),
        ("location", json!({ "type": "GeoProperty", "value": nothing })),
        ("street", json!({ "type": "LanguageProperty", "languageMap": { "@none": nothing } })),
    ] {
        for dataset in [None, Some("urn:d:1")] {
            if let Some(dataset) = dataset {
                fragment["datasetId"] = Value::from(dataset);
            }
            for (line, body) in [
                ("PATCH entities/urn:b:1/attrs".to_owned(), json!({ name: fragment })),
                ("PATCH entities/urn:b:1".to_owned(), json!({ name: fragment })),
                (format!("PATCH entities/urn:b:1/attrs/{name}"), fragment.clone()),
            ] {
                let city = City::new();
                city.post("ann", "POST entities", &instances()).is(201);
                let before = city.get("ann", "entities/urn:b:1").is(200);
                city.post("ann", &line, &body).is(204);
                let mut expected = before.clone();
                expected[name] = before[name][usize::from(dataset.is_none())].clone();
                assert_eq!(city.get("ann", "entities/urn:b:1").is(200), expected, "{line} {body}");
                // The last instance takes the attribute with it, and what is gone can be removed again but by its name.
                fragment_of_the_other(&city, name, &fragment, dataset);
                assert_eq!(city.get("ann", "entities/urn:b:1").is(200).get(name), None);
                let again = if line.ends_with(name) { 404 } else { 204 };
                city.post("ann", &line, &body).is(again);
            }
        }
        // To create, to append and to replace, there must be a value.
        let city = City::new();
        city.post("ann", "POST entities", &json!({ "id": "urn:b:1", "type": "T", name: fragment }))
            .fails(400, "BadRequestData");
        city.post("ann", "POST entities", &instances()).is(201);
        city.post("ann", "POST entities/urn:b:1/attrs", &json!({ name: fragment }))
            .fails(400, "BadRequestData");
        city.post("ann", &format!("PUT entities/urn:b:1/attrs/{name}"), &fragment)
            .fails(400, "BadRequestData");
    }
}

/// Removes the instance that the fragment does not remove.
fn fragment_of_the_other(city: &City, name: &str, fragment: &Value, dataset: Option<&str>) {
    let mut other = fragment.clone();
    match dataset {
        Some(_) => drop(other.as_object_mut().unwrap().remove("datasetId")),
        None => other["datasetId"] = Value::from("urn:d:1"),
    }
    city.post("ann", "PATCH entities/urn:b:1/attrs", &json!({ name: other })).is(204);
}

/// What others wrote is not removed by a fragment either.
#[test]
fn c5_6_2_instances_of_others_are_not_removed() {
    let city = City::new();
    city.post("ann", "POST entities", &instances()).is(201);
    let body = json!({ "name": { "value": "urn:ngsi-ld:null" } });
    for line in
        ["PATCH entities/urn:b:1/attrs", "PATCH entities/urn:b:1", "PATCH entities/urn:b:1/attrs/name"]
    {
        let body = if line.ends_with("name") { &body["name"] } else { &body };
        city.post("ben", line, body).fails(422, "OperationNotSupported");
    }
}

/// Clauses 4.18, 5.6.2 to 5.6.5, 5.6.19: a scope is written with the entity, and deleted as an attribute is.
#[test]
fn c4_18_scopes_are_written() {
    let city = City::new();
    let scope = |city: &City| city.get("ann", "entities/urn:s:1").is(200).get("scope").cloned();
    city.post("ann", "POST entities", &json!({ "id": "urn:s:1", "type": "T" })).is(201);
    let result = city.post("ann", "PATCH entities/urn:s:1/attrs", &json!({ "scope": "/a", "b": 1 })).is(207);
    let iri = "https://uri.etsi.org/ngsi-ld/scope";
    assert_eq!(result["notUpdated"], json!([{ "attributeName": iri, "reason": "it is not there" }]));
    assert_eq!(result["updated"], json!(["https://uri.etsi.org/ngsi-ld/default-context/b"]));
    assert_eq!(scope(&city), None);
    city.post("ann", "POST entities/urn:s:1/attrs", &json!({ "scope": "/a" })).is(204);
    city.post("ann", "PATCH entities/urn:s:1/attrs", &json!({ "scope": "/b" })).is(204);
    assert_eq!(scope(&city), Some(json!("/b")));
    city.post("ann", "POST entities/urn:s:1/attrs?options=noOverwrite", &json!({ "scope": ["/b", "/c"] }))
        .is(204);
    assert_eq!(scope(&city), Some(json!(["/b", "/c"])));
    city.post("ann", "PATCH entities/urn:s:1", &json!({ "scope": "/d" })).is(204);
    assert_eq!(scope(&city), Some(json!("/d")));
    for method in ["PATCH", "PUT"] {
        city.post("ann", &format!("{method} entities/urn:s:1/attrs/scope"), &json!({ "value": "/e" }))
            .fails(400, "BadRequestData");
    }
    city.send("ben", "DELETE entities/urn:s:1/attrs/scope", &[], "").fails(422, "OperationNotSupported");
    city.send("ann", "DELETE entities/urn:s:1/attrs/scope", &[], "").is(204);
    assert_eq!(scope(&city), None);
    city.send("ann", "DELETE entities/urn:s:1/attrs/scope", &[], "").fails(404, "ResourceNotFound");
}

#[test]
fn c5_6_3_append_attributes() {
    let city = City::new();
    city.post("ann", "POST entities", &building()).is(201);
    city.post("ann", "POST entities/urn:b:1/attrs", &json!({ "width": 4, "height": 1, "type": "Tower" }))
        .is(204);
    let result = city
        .post("ann", "POST entities/urn:b:1/attrs?options=noOverwrite", &json!({ "width": 5, "depth": 6 }))
        .is(207);
    assert_eq!(
        result,
        // As URIs, as an answer of this kind has no context (clause 6.3.6).
        json!({
            "updated": ["https://uri.etsi.org/ngsi-ld/default-context/depth"],
            "notUpdated": [{
                "attributeName": "https://uri.etsi.org/ngsi-ld/default-context/width", "reason": "it is there already"
            }],
        })
    );
    // Another instance is no overwriting.
    let other = json!({ "width": { "value": 5, "datasetId": "urn:d:1" } });
    city.post("ann", "POST entities/urn:b:1/attrs?options=noOverwrite", &other).is(204);
    let width = &city.get("ann", "entities/urn:b:1?options=concise").is(200)["width"];
    assert_eq!(*width, json!([4, { "value": 5, "datasetId": "urn:d:1" }]));
    city.post("ann", "POST entities/urn:b:1/attrs?options=noOverwrite", &other).is(207);
    city.send("ann", "DELETE entities/urn:b:1/attrs/width?datasetId=urn:d:1", &[], "").is(204);
    let entity = city.get("ann", "entities/urn:b:1?options=keyValues&attrs=width,height,depth").is(200);
    assert_eq!(
        entity,
        json!({ "id": "urn:b:1", "type": ["Building", "Tower"], "width": 4, "height": 1, "depth": 6 })
    );
    city.post("ann", "POST entities/urn:b:9/attrs", &json!({ "width": 4 })).fails(404, "ResourceNotFound");
    city.post("ann", "POST entities/urn:b:1/attrs", &json!({ "id": "urn:b:2", "width": 4 }))
        .fails(400, "BadRequestData");
}

#[test]
fn c5_6_4_partial_update_of_an_attribute() {
    let city = City::new();
    city.post("ann", "POST entities", &building()).is(201);
    let fragment = json!({ "value": { "a": 1 }, "observedAt": "2026-02-01T00:00:00.000Z" });
    city.post("ann", "PATCH entities/urn:b:1/attrs/height", &fragment).is(204);
    city.post("ann", "PATCH entities/urn:b:1/attrs/height", &json!({ "value": { "b": 2 }, "accuracy": 0.1 }))
        .is(204);
    let height = &city.get("ann", "entities/urn:b:1").is(200)["height"];
    // Of an attribute what is not named stays; a value is replaced.
    let expected = json!({
        "type": "Property", "value": { "b": 2 }, "unitCode": "MTR", "observedAt": "2026-02-01T00:00:00.000Z",
        "accuracy": { "type": "Property", "value": 0.1 },
    });
    assert_eq!(*height, expected);
    let path = "PATCH entities/urn:b:1/attrs/height";
    city.post("ann", path, &json!({ "type": "Relationship", "object": "urn:a:1" }))
        .fails(400, "BadRequestData");
    city.post("ann", path, &json!({ "object": "urn:a:1" })).fails(400, "BadRequestData");
    city.post("ann", path, &json!({ "value": 1, "datasetId": "urn:d:1" })).fails(404, "ResourceNotFound");
    city.post("ann", "PATCH entities/urn:b:1/attrs/other", &fragment).fails(404, "ResourceNotFound");
    city.post("ann", "PATCH entities/urn:b:9/attrs/height", &fragment).fails(404, "ResourceNotFound");
    city.post("ann", path, &json!({ "type": "Property", "value": "urn:ngsi-ld:null" })).is(204);
    assert_eq!(city.get("ann", "entities/urn:b:1").is(200).get("height"), None);
}

#[test]
fn c5_6_5_delete_an_attribute_and_c5_6_6_an_entity() {
    let city = City::new();
    let mut entity = building();
    entity["height"] =
        json!([1, { "value": 2, "datasetId": "urn:d:1" }, { "value": 3, "datasetId": "urn:d:2" }]);
    city.post("ann", "POST entities", &entity).is(201);
    let delete = |path: &str| city.send("ann", &format!("DELETE {path}"), &[], "");
    delete("entities/urn:b:1/attrs/height?datasetId=urn:d:1").is(204);
    delete("entities/urn:b:1/attrs/height?datasetId=urn:d:1").fails(404, "ResourceNotFound");
    delete("entities/urn:b:1/attrs/height").is(204);
    delete("entities/urn:b:1/attrs/height").fails(404, "ResourceNotFound");
    assert_eq!(city.get("ann", "entities/urn:b:1").is(200)["height"]["value"], 3);
    delete("entities/urn:b:1/attrs/height?deleteAll=true").is(204);
    assert_eq!(city.get("ann", "entities/urn:b:1").is(200).get("height"), None);
    delete("entities/urn:b:1/attrs/height?deleteAll=maybe").fails(400, "BadRequestData");
    delete("entities/urn:b:1").is(204);
    delete("entities/urn:b:1").fails(404, "ResourceNotFound");
    delete("entities/nouri").fails(400, "BadRequestData");
}

#[test]
fn c5_6_17_merge_an_entity() {
    let city = City::new();
    let mut entity = building();
    entity["address"] = json!({ "type": "Property", "value": { "street": "a", "town": "b" }, "checked": { "type": "Property", "value": true } });
    city.post("ann", "POST entities", &entity).is(201);
    let patch = json!({
        "address": { "value": { "street": "urn:ngsi-ld:null", "code": 7 } },
        "name": "urn:ngsi-ld:null", "near": { "type": "Relationship", "object": "urn:ngsi-ld:null" }, "width": 4, "height": { "value": 13 },
    });
    let kind = [("Content-Type", "application/merge-patch+json")];
    city.send("ann", "PATCH entities/urn:b:1", &kind, &patch.to_string()).is(204);
    let merged = city.get("ann", "entities/urn:b:1").is(200);
    let expected = json!({
        "id": "urn:b:1", "type": "Building", "location": building()["location"],
        "address": { "type": "Property", "value": { "town": "b", "code": 7 }, "checked": { "type": "Property", "value": true } },
        "height": { "type": "Property", "value": 13, "unitCode": "MTR" }, "width": { "type": "Property", "value": 4 },
    });
    assert_eq!(merged, expected);
    let values = json!({ "height": 14, "address": { "value": 5 } });
    city.post("ann", "PATCH entities/urn:b:1?options=keyValues&observedAt=2026-03-01T00:00:00Z", &values)
        .is(204);
    let merged = city.get("ann", "entities/urn:b:1").is(200);
    assert_eq!(
        merged["height"],
        json!({ "type": "Property", "value": 14, "unitCode": "MTR", "observedAt": "2026-03-01T00:00:00.000Z" })
    );
    assert_eq!(merged["address"]["value"], json!({ "town": "b", "code": 7, "value": 5 }));
    city.post("ann", "PATCH entities/urn:b:1", &json!({ "height": { "object": "urn:a:1" } }))
        .fails(400, "BadRequestData");
    city.post("ann", "PATCH entities/urn:b:9", &patch).fails(404, "ResourceNotFound");
    // What fails changes nothing.
    city.post("ann", "PATCH entities/urn:b:1", &json!({ "aaa": 1, "height": { "object": "urn:a:1" } }))
        .fails(400, "BadRequestData");
    assert_eq!(city.get("ann", "entities/urn:b:1").is(200), merged);
}

#[test]
fn c5_6_18_replace_an_entity_and_c5_6_19_an_attribute() {
    let mut city = City::new();
    city.post("ann", "POST entities", &building()).is(201);
    city.now += jiff::SignedDuration::from_secs(60);
    city.post("ann", "PUT entities/urn:b:1", &json!({ "id": "urn:b:1", "type": "Building", "a": 1 })).is(204);
    let entity = city.get("ann", "entities/urn:b:1?options=keyValues,sysAttrs").is(200);
    let expected = json!({
        "id": "urn:b:1", "type": "Building", "a": 1, "createdAt": "2026-01-01T00:00:00.000Z", "modifiedAt": "2026-01-01T00:01:00.000Z"
    });
    assert_eq!(entity, expected);
    city.post(
        "ann",
        "PUT entities/urn:b:1/attrs/a",
        &json!({ "type": "Property", "value": 2, "unitCode": "MTR" }),
    )
    .is(204);
    assert_eq!(
        city.get("ann", "entities/urn:b:1").is(200)["a"],
        json!({ "type": "Property", "value": 2, "unitCode": "MTR" })
    );
    city.post("ann", "PUT entities/urn:b:1/attrs/b", &json!({ "value": 2 })).fails(404, "ResourceNotFound");
    city.post("ann", "PUT entities/urn:b:9", &building()).fails(400, "BadRequestData");
    city.post("ann", "PUT entities/urn:b:9", &json!({ "type": "T" })).fails(404, "ResourceNotFound");
}

#[test]
fn c5_6_7_to_c5_6_10_and_c5_6_20_batches() {
    let city = City::new();
    let entity = |id: &str, a: i32| json!({ "id": id, "type": "T", "a": a });
    let batch =
        |operation: &str, body: Value| city.post("ann", &format!("POST entityOperations/{operation}"), &body);
    assert_eq!(
        batch("create", json!([entity("urn:a:1", 1), entity("urn:a:2", 2)])).is(201),
        json!(["urn:a:1", "urn:a:2"])
    );
    let result =
        batch("create", json!([entity("urn:a:2", 1), entity("urn:a:3", 3), { "type": "T" }, 7])).is(207);
    assert_eq!(result["success"], json!(["urn:a:3"]));
    let errors = result["errors"].as_array().unwrap();
    let errors: Vec<_> = errors
        .iter()
        .map(|error| (error["entityId"].as_str().unwrap(), error["error"]["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(errors, [("urn:a:2", 409), ("", 400), ("", 400)]);
    assert_eq!(
        batch("upsert", json!([entity("urn:a:1", 5), entity("urn:a:4", 4)])).is(201),
        json!(["urn:a:4"])
    );
    batch("upsert", json!([entity("urn:a:1", 6)])).is(204);
    batch("upsert?options=update", json!([{ "id": "urn:a:1", "type": "T", "b": 1 }])).is(204);
    batch("update", json!([{ "id": "urn:a:1", "c": 1 }])).is(204);
    batch("update", json!([{ "id": "urn:a:9", "c": 1 }])).is(207);
    batch("update?options=noOverwrite", json!([{ "id": "urn:a:1", "a": 9 }])).is(207);
    batch("merge", json!([{ "id": "urn:a:1", "b": "urn:ngsi-ld:null" }])).is(204);
    let first = city.get("ann", "entities/urn:a:1?options=keyValues").is(200);
    assert_eq!(first, json!({ "id": "urn:a:1", "type": "T", "a": 6, "c": 1 }));
    let result = batch("delete", json!(["urn:a:1", "urn:a:9", "nouri"])).is(207);
    assert_eq!((&result["success"], result["errors"].as_array().unwrap().len()), (&json!(["urn:a:1"]), 2));
    batch("delete", json!(["urn:a:2"])).is(204);
    for wrong in [json!([]), json!({}), json!(vec![entity("urn:a:1", 1); 1001])] {
        batch("create", wrong).fails(400, "BadRequestData");
    }
    // Null is no element, and no value, whether the entity is there or not.
    batch("merge", json!([entity("urn:a:5", 1), null])).fails(400, "BadRequestData");
    for operation in ["create", "upsert", "update", "merge"] {
        let result =
            batch(operation, json!([{ "id": "urn:a:7", "type": "T", "a": { "value": null } }])).is(207);
        assert_eq!(result["errors"][0]["error"]["status"], 400, "{operation}");
    }
    // What is wrong with the context of one is wrong with that one alone.
    let mixed = json!([entity("urn:m:1", 1), { "id": "urn:m:2", "type": "T", "@context": {} }]);
    for (kind, written, wrong) in
        [("application/json", "urn:m:1", "urn:m:2"), ("application/ld+json", "urn:m:2", "urn:m:1")]
    {
        let answer =
            city.send("ann", "POST entityOperations/create", &[("Content-Type", kind)], &mixed.to_string());
        let result = answer.is(207);
        assert_eq!(result["success"], json!([written]));
        assert_eq!(result["errors"][0]["entityId"], wrong);
        let kind = &result["errors"][0]["error"]["type"];
        assert_eq!(kind, "https://uri.etsi.org/ngsi-ld/errors/BadRequestData");
    }
    // Each element has a context of its own.
    let ld = json!([{ "id": "urn:l:1", "type": "T", "@context": { "T": "https://example.org/T" } }]);
    assert_eq!(batch("create", ld).is(201), json!(["urn:l:1"]));
    assert_eq!(city.get("ann", "entities/urn:l:1").is(200)["type"], "https://example.org/T");
}

#[test]
fn c4_18_scopes_and_c4_15_languages() {
    let city = City::new();
    let entity = json!({ "id": "urn:a:1", "type": ["A", "B"], "scope": ["/a", "/b"], "street": { "languageMap": { "en": "x", "ja": "y" } } });
    city.post("ann", "POST entities", &entity).is(201);
    let shown = city.get("ann", "entities/urn:a:1?options=keyValues&lang=ja").is(200);
    assert_eq!(shown, json!({ "id": "urn:a:1", "type": ["A", "B"], "scope": ["/a", "/b"], "street": "y" }));
}

/// What devices measure is an entity, made of all the streams that the user sees, and nobody writes it.
#[test]
fn readings_are_entities_that_nobody_writes() {
    let city = City::new();
    city.measure("open", r#"{"vehicles":7}"#);
    city.measure("secret", r#"{"speed_kmh":50}"#);
    city.measure("other", r#"{"vehicles":7}"#);
    let path = format!("entities/{TRAFFIC_ID}");
    let entity = city.get_traffic("ann", &path).is(200);
    let time = "2026-01-01T00:00:00.000Z";
    let expected = json!({
        "id": TRAFFIC_ID, "type": "TrafficFlowObserved",
        "intensity": { "type": "Property", "value": 7, "observedAt": time },
        "averageVehicleSpeed": { "type": "Property", "value": 50, "observedAt": time, "unitCode": "KMH" },
        "dateObserved": { "type": "Property", "value": { "@type": "DateTime", "@value": time } },
        "refDevice": { "type": "Relationship", "object": format!("urn:ngsi-ld:Device:{DEVICE}") },
        "location": { "type": "GeoProperty", "value": { "type": "Point", "coordinates": [139.7, 35.7] } },
    });
    assert_eq!(entity, expected);
    let simplified = city
        .get_traffic("ben", &format!("{path}?options=keyValues&attrs=intensity,averageVehicleSpeed"))
        .is(200);
    assert_eq!(simplified, json!({ "id": TRAFFIC_ID, "type": "TrafficFlowObserved", "intensity": 7 }));
    for (line, body) in [
        (format!("DELETE {path}"), json!(null)),
        (format!("PATCH {path}"), json!({ "a": 1 })),
        (format!("PUT {path}"), json!({ "type": "T" })),
        (format!("POST {path}/attrs"), json!({ "a": 1 })),
        (format!("PATCH {path}/attrs"), json!({ "a": 1 })),
        (format!("PATCH {path}/attrs/a"), json!(1)),
        (format!("PUT {path}/attrs/a"), json!(1)),
        (format!("DELETE {path}/attrs/a"), json!(null)),
        ("POST entities".to_owned(), json!({ "id": TRAFFIC_ID, "type": "T" })),
    ] {
        city.post("ann", &line, &body).fails(422, "OperationNotSupported");
        // Whether it is there or not.
        city.post("ann", &line.replace(DEVICE, "70b3d5fffe000009"), &body)
            .fails(422, "OperationNotSupported");
    }
    assert_eq!(city.get_traffic("ann", &path).is(200), expected);
}

/// A user's room is bounded, and that of others is not touched.
#[test]
fn room_is_bounded() {
    let city = City::new();
    let entity =
        |i: usize, size: usize| json!({ "id": format!("urn:a:{i}"), "type": "T", "a": "x".repeat(size) });
    for i in 0..1000 {
        city.post("ann", "POST entities", &entity(i, 1)).is(201);
    }
    city.post("ann", "POST entities", &entity(1000, 1)).fails(507, "");
    city.post("cid", "POST entities", &entity(0, 1)).is(201);
    city.send("ann", "DELETE entities/urn:a:0", &[], "").is(204);
    city.post("ann", "POST entities", &entity(1000, 1)).is(201);
    let large = |i: usize| city.post("cid", "POST entities", &entity(i, 900_000));
    for i in 1..5 {
        large(i).is(201);
    }
    large(5).fails(507, "");
    city.post("cid", "PATCH entities/urn:a:1/attrs", &json!({ "a": 1 })).is(204);
    large(5).is(201);
    let many: serde_json::Map<_, _> = (0..257).map(|i| (format!("a{i}"), json!(1))).collect();
    city.post("cid", "POST entities/urn:a:1/attrs", &Value::Object(many)).fails(400, "BadRequestData");
    // Small objects take much memory, in a value and as attributes of attributes.
    let small = json!({ "id": "urn:o:1", "type": "T", "a": { "value": vec![json!({ "a": 0 }); 6000] } });
    assert!(small.to_string().len() < 60_000);
    city.post("ben", "POST entities", &small).fails(507, "");
    let nested = |i: usize| json!({ "id": format!("urn:o:{i}"), "type": "T", "a": { "value": 1, "b": { "value": 1, "c": { "value": 1, "d": 1 } } } });
    let (mut count, mut length) = (0, 0);
    while city.post("ben", "POST entities", &nested(count)).status.is_success() {
        length += nested(count).to_string().len();
        count += 1;
    }
    assert!(count < 600 && length < 60_000, "{count} {length}");
}

/// However they come, an attribute has so many instances.
#[test]
fn c4_5_5_instances_are_bounded() {
    let city = City::new();
    let instance = |i: usize| json!({ "value": i, "datasetId": format!("urn:d:{i}") });
    let first: Value = (0..32).map(instance).collect();
    city.post("ann", "POST entities", &json!({ "id": "urn:a:1", "type": "T", "a": first })).is(201);
    let kind = json!({ "id": "urn:a:1", "a": [instance(32)] });
    for line in ["POST entities/urn:a:1/attrs", "PATCH entities/urn:a:1/attrs", "PATCH entities/urn:a:1"] {
        city.post("ann", line, &kind).fails(400, "BadRequestData");
    }
    for operation in ["update", "upsert?options=update", "merge"] {
        city.post("ann", &format!("POST entityOperations/{operation}"), &json!([kind])).is(207);
    }
    let many: Value = (0..15_000).map(|i| json!({ "value": i, "datasetId": format!("urn:d:{i}") })).collect();
    let start = std::time::Instant::now();
    city.post("ann", "PATCH entities/urn:a:1", &json!({ "a": many })).fails(400, "BadRequestData");
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
    let all = city.get("ann", "entities/urn:a:1").is(200);
    assert_eq!(all["a"].as_array().unwrap().len(), 32);
}

/// What is in an id stays in its segment of the path.
#[test]
fn c6_4_3_1_the_location_leads_to_the_entity() {
    let city = City::new();
    let created = city.post("ann", "POST entities", &json!({ "id": "urn:a:1/2?3#4%25", "type": "T" }));
    assert_eq!(created.header("location"), "/ngsi-ld/v1/entities/urn:a:1%2F2%3F3%234%2525");
    let path = created.header("location").replace("/ngsi-ld/v1/", "");
    assert_eq!(city.get("ann", &path).is(200)["id"], "urn:a:1/2?3#4%25");
}

/// One field may have several links.
#[test]
fn c6_3_5_links_in_one_field() {
    let city = City::new();
    city.post("ann", "POST entities", &json!({ "id": "urn:t:1", "type": "T" })).is(201);
    let context = format!("<{TRAFFIC}>; rel=\"http://www.w3.org/ns/json-ld#context\"");
    let get = |link: &str| city.send("ann", "GET entities/urn:t:1", &[("Link", link)], "");
    for link in [
        format!("<https://a/b,c>; rel=\"x, y\", {context}"),
        format!("{context}, <https://a/b>; rel=\"next\""),
    ] {
        let answer = get(&link);
        answer.is(200);
        assert!(answer.header("link").starts_with(&format!("<{TRAFFIC}>")), "{link}");
    }
    get(&format!("{context}, {context}")).fails(400, "InvalidRequest");
    get(&format!("{context}, x")).fails(400, "InvalidRequest");
}

/// Dan sees what Cid writes, and Cid does not see what Dan writes: whatever Dan does to an entity of which both wrote a part, or Cid alone,
/// for Cid nothing changes.
#[test]
fn what_a_user_writes_goes_to_nobody_elses_part() {
    let note = json!({ "id": "urn:n:1", "type": "Note", "a": { "value": "planted" }, "b": 1 });
    let secret = json!({ "id": "urn:n:1", "type": ["Note", "Secret"], "scope": "/secret", "a": { "value": "secret" }, "c": "secret" });
    let attribute = json!({ "value": "secret", "unitCode": "secret" });
    let removal = json!({ "id": "urn:n:1", "a": "urn:ngsi-ld:null" });
    let one = "entities/urn:n:1";
    let writes = [
        (format!("PATCH {one}"), secret.clone(), 204, 204),
        (format!("PATCH {one}"), removal.clone(), 204, 422),
        (format!("PUT {one}"), secret.clone(), 204, 204),
        (format!("PUT {one}"), json!({ "a": "secret" }), 204, 204),
        (format!("POST {one}/attrs"), secret.clone(), 204, 204),
        (
            format!("POST {one}/attrs?options=noOverwrite"),
            json!({ "c": "secret", "type": "Secret" }),
            204,
            204,
        ),
        (format!("PATCH {one}/attrs"), json!({ "a": "secret", "type": "Secret" }), 204, 204),
        (format!("PATCH {one}/attrs/a"), attribute.clone(), 204, 422),
        (format!("PATCH {one}/attrs/a"), json!({ "value": "urn:ngsi-ld:null" }), 204, 422),
        (format!("PUT {one}/attrs/a"), attribute, 204, 422),
        (format!("DELETE {one}/attrs/a"), json!(null), 204, 422),
        (format!("DELETE {one}/attrs/a?deleteAll=true"), json!(null), 204, 422),
        (format!("DELETE {one}"), json!(null), 204, 422),
        ("POST entities".to_owned(), secret.clone(), 409, 409),
        ("POST entityOperations/create".to_owned(), json!([secret]), 207, 207),
        ("POST entityOperations/upsert".to_owned(), json!([secret]), 204, 204),
        ("POST entityOperations/upsert?options=update".to_owned(), json!([secret]), 204, 204),
        ("POST entityOperations/update".to_owned(), json!([secret]), 204, 204),
        ("POST entityOperations/merge".to_owned(), json!([secret]), 204, 204),
        ("POST entityOperations/merge".to_owned(), json!([removal]), 204, 207),
        ("POST entityOperations/delete".to_owned(), json!(["urn:n:1"]), 204, 207),
    ];
    for (line, body, with_a_part, without) in writes {
        for (has_part, status) in [(true, with_a_part), (false, without)] {
            let mut city = City::new();
            if has_part {
                city.post("dan", "POST entities", &json!({ "id": "urn:n:1", "type": "Note", "a": "secret" }))
                    .is(201);
            }
            city.now += jiff::SignedDuration::from_secs(1);
            city.post("cid", "POST entities", &note).is(201);
            city.now += jiff::SignedDuration::from_secs(1);
            let all = || {
                ["entities/urn:n:1?options=sysAttrs", "types?details=true", "entities?type=Note,Secret"]
                    .map(|path| city.get("cid", path))
            };
            let before = all();
            assert_eq!(city.post("dan", &line, &body).status.as_u16(), status, "{line} {body} {has_part}");
            assert_eq!(all(), before, "{line} {body}");
            // Cid's own room is as it was.
            city.send("cid", "DELETE entities/urn:n:1", &[], "").is(204);
            city.get("cid", "entities/urn:n:1").fails(404, "ResourceNotFound");
        }
    }
}

/// Who sees both parts sees one entity, with the newest of each attribute; what one deletes of it leaves what the other wrote.
#[test]
fn two_users_write_one_entity() {
    let mut city = City::new();
    let values = |city: &City, user: &str| {
        city.get(user, "entities/urn:b:1?options=keyValues&attrs=height,width").is(200)
    };
    city.post("ann", "POST entities", &building()).is(201);
    city.now += jiff::SignedDuration::from_secs(1);
    city.post("ben", "POST entities/urn:b:1/attrs", &json!({ "height": 20, "width": 4 })).is(204);
    let expected = json!({ "id": "urn:b:1", "type": "Building", "height": 20, "width": 4 });
    assert_eq!((values(&city, "ann"), values(&city, "ben")), (expected.clone(), expected.clone()));
    // Another attribute of the part does not make this one newer.
    city.now += jiff::SignedDuration::from_secs(1);
    city.post("ann", "PATCH entities/urn:b:1/attrs", &json!({ "name": "House" })).is(204);
    assert_eq!(values(&city, "ann"), expected);
    city.send("ann", "DELETE entities/urn:b:1/attrs/width", &[], "").fails(422, "OperationNotSupported");
    city.send("ben", "DELETE entities/urn:b:1/attrs/height", &[], "").is(204);
    assert_eq!(values(&city, "ben")["height"], 12.5);
    // What changes nothing begins no part.
    city.post("ben", "PATCH entities/urn:b:1/attrs", &json!({ "scope": "/a" })).is(207);
    city.send("ben", "DELETE entities/urn:b:1", &[], "").is(204);
    city.post("ben", "PATCH entities/urn:b:1/attrs", &json!({ "scope": "/a" })).is(207);
    city.send("ben", "DELETE entities/urn:b:1", &[], "").fails(422, "OperationNotSupported");
    city.send("ann", "DELETE entities/urn:b:1", &[], "").is(204);
    city.get("ben", "entities/urn:b:1").fails(404, "ResourceNotFound");
}
