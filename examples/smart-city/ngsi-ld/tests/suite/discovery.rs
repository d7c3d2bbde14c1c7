//! Types and attributes: clauses 5.7.5 to 5.7.10, 6.25 to 6.28.

use super::*;

fn town() -> City {
    let city = City::new();
    city.post(
        "ann",
        "POST entities",
        &json!({ "id": "urn:v:1", "type": "Car", "speed": 5, "owner": { "object": "urn:p:1" } }),
    )
    .is(201);
    city.post("ann", "POST entities", &json!({ "id": "urn:v:2", "type": "Bus", "speed": 6 })).is(201);
    city.measure("secret", r#"{"speed_kmh":50}"#);
    city
}

#[test]
fn c5_7_5_to_c5_7_7_types() {
    let city = town();
    let list = city.get_traffic("ann", "types").is(200);
    assert_eq!(
        (&list["type"], &list["typeList"]),
        (&json!("EntityTypeList"), &json!(["TrafficFlowObserved", "Bus", "Car"]))
    );
    // Who may not see the only entity of a type does not see the type.
    assert_eq!(city.get("ben", "types").is(200)["typeList"], json!(["Bus", "Car"]));
    assert_eq!(city.get("cid", "types").is(200)["typeList"], json!([]));
    let details = city.get("ben", "types?details=true").is(200);
    assert_eq!(
        details,
        json!([
            { "id": "https://uri.etsi.org/ngsi-ld/default-context/Bus", "type": "EntityType", "typeName": "Bus", "attributeNames": ["speed"] },
            { "id": "https://uri.etsi.org/ngsi-ld/default-context/Car", "type": "EntityType", "typeName": "Car", "attributeNames": ["owner", "speed"] },
        ])
    );
    let car = city.get("ben", "types/Car").is(200);
    assert_eq!(
        (&car["type"], &car["entityCount"], &car["attributeDetails"][0]["attributeTypes"]),
        (&json!("EntityTypeInfo"), &json!(1), &json!(["Relationship"]))
    );
    city.get("ben", "types/Tram").fails(404, "ResourceNotFound");
    city.get("cid", "types/Car").fails(404, "ResourceNotFound");
    city.get("ann", "types/a%20b").fails(400, "BadRequestData");
}

#[test]
fn c5_7_8_to_c5_7_10_attributes() {
    let city = town();
    assert_eq!(city.get("ben", "attributes").is(200)["attributeList"], json!(["owner", "speed"]));
    assert_eq!(city.get("cid", "attributes").is(200)["attributeList"], json!([]));
    let details = city.get("ben", "attributes?details=true").is(200);
    assert_eq!(
        details[1],
        json!({
            "id": "https://uri.etsi.org/ngsi-ld/default-context/speed", "type": "Attribute", "attributeName": "speed", "typeNames": ["Bus", "Car"]
        })
    );
    let speed = city.get("ben", "attributes/speed").is(200);
    assert_eq!(
        (&speed["attributeCount"], &speed["typeNames"], &speed["attributeTypes"]),
        (&json!(2), &json!(["Bus", "Car"]), &json!(["Property"]))
    );
    city.get("cid", "attributes/speed").fails(404, "ResourceNotFound");
    city.get_traffic("ben", "attributes/averageVehicleSpeed").fails(404, "ResourceNotFound");
    city.get_traffic("ann", "attributes/averageVehicleSpeed").is(200);
}
