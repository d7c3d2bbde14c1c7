//! Three Smart Data Models in short: what a mapping may give, and what values they may have.
//!
//! The source is <https://github.com/smart-data-models>: `TrafficFlowObserved` of dataModel.Transportation, `WeatherObserved` of
//! dataModel.Weather and `AirQualityObserved` of dataModel.Environment. The descriptions here are our own, of the properties that a
//! sensor can measure. All three also have `dateObserved`, `location`, `name` and `refDevice`, which the gateway itself gives.

use serde_json::Value;

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// A number in these limits.
    Number(f64, f64),
    /// A whole number from here on.
    Whole(i64),
    /// True or false.
    Flag,
    /// A text; one of these, if there are any.
    Text(&'static [&'static str]),
}

impl Range {
    /// Whether the value is such a one.
    #[must_use]
    pub fn has(self, value: &Value) -> bool {
        match self {
            Self::Number(low, high) => value.as_f64().is_some_and(|number| (low..=high).contains(&number)),
            Self::Whole(low) => value.as_i64().is_some_and(|number| number >= low),
            Self::Flag => value.is_boolean(),
            Self::Text(allowed) => {
                value.as_str().is_some_and(|text| allowed.is_empty() || allowed.contains(&text))
            }
        }
    }
}

/// A data model.
#[derive(Debug, PartialEq)]
pub struct Model {
    /// The type of its entities.
    pub name: &'static str,
    /// The name of the collection that it is of.
    pub collection: &'static str,
    /// What can be measured.
    pub properties: &'static [(&'static str, Range)],
}

const ANY: Range = Range::Number(f64::MIN, f64::MAX);
const POSITIVE: Range = Range::Number(0.0, f64::MAX);
const PART: Range = Range::Number(0.0, 1.0);
const DIRECTION: Range = Range::Number(-180.0, 180.0);

static MODELS: [Model; 3] = [
    Model {
        name: "TrafficFlowObserved",
        collection: "Transportation",
        properties: &[
            ("averageGapDistance", POSITIVE),
            ("averageHeadwayTime", POSITIVE),
            ("averageVehicleLength", POSITIVE),
            ("averageVehicleSpeed", POSITIVE),
            ("congested", Range::Flag),
            ("intensity", POSITIVE),
            ("laneDirection", Range::Text(&["forward", "backward"])),
            ("laneId", Range::Whole(1)),
            ("occupancy", PART),
            ("reversedLane", Range::Flag),
            ("vehicleSubType", Range::Text(&[])),
            ("vehicleType", Range::Text(&[])),
        ],
    },
    Model {
        name: "WeatherObserved",
        collection: "Weather",
        properties: &[
            ("atmosphericPressure", POSITIVE),
            ("dewPoint", ANY),
            ("feelsLikeTemperature", ANY),
            ("illuminance", POSITIVE),
            ("precipitation", POSITIVE),
            ("pressureTendency", ANY),
            ("relativeHumidity", PART),
            ("snowHeight", POSITIVE),
            ("solarRadiation", POSITIVE),
            ("streamGauge", POSITIVE),
            ("temperature", ANY),
            ("uVIndexMax", Range::Number(1.0, f64::MAX)),
            ("weatherType", Range::Text(&[])),
            ("windDirection", DIRECTION),
            ("windSpeed", POSITIVE),
        ],
    },
    Model {
        name: "AirQualityObserved",
        collection: "Environment",
        properties: &[
            ("airQualityIndex", Range::Whole(0)),
            ("airQualityLevel", Range::Text(&[])),
            ("c6h6", POSITIVE),
            ("co", POSITIVE),
            ("co2", POSITIVE),
            ("no", POSITIVE),
            ("no2", POSITIVE),
            ("nox", POSITIVE),
            ("o3", POSITIVE),
            ("pm1", POSITIVE),
            ("pm10", POSITIVE),
            ("pm25", POSITIVE),
            ("precipitation", POSITIVE),
            ("relativeHumidity", PART),
            ("reliability", PART),
            ("so2", POSITIVE),
            ("temperature", ANY),
            ("typeofLocation", Range::Text(&["indoor", "outdoor"])),
            ("volatileOrganicCompoundsTotal", POSITIVE),
            ("windDirection", DIRECTION),
            ("windSpeed", POSITIVE),
        ],
    },
];

/// Properties that all collections share.
pub(crate) const SHARED: [&str; 8] =
    ["address", "alternateName", "areaServed", "dataProvider", "dateObserved", "name", "owner", "source"];

/// The model of this name.
#[must_use]
pub fn model(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

impl Model {
    /// What the property of this name must be.
    #[must_use]
    pub fn range(&self, property: &str) -> Option<Range> {
        self.properties.iter().find(|(name, _)| *name == property).map(|(_, range)| *range)
    }

    /// The name of one of its properties, or its own, as a URI.
    #[must_use]
    pub fn iri(&self, name: &str) -> String {
        if SHARED.contains(&name) {
            format!("https://smartdatamodels.org/{name}")
        } else {
            format!("https://smartdatamodels.org/dataModel.{}/{name}", self.collection)
        }
    }

    /// Where its collection publishes the `@context`.
    #[must_use]
    pub fn context_url(&self) -> String {
        format!("https://smart-data-models.github.io/dataModel.{}/context.jsonld", self.collection)
    }

    /// Every name that its `@context` has.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        let own = self.properties.iter().map(|(name, _)| *name);
        own.chain(SHARED).chain([self.name, "refDevice"])
    }
}

/// The models whose `@context` is at this address.
pub(crate) fn models_at(url: &str) -> impl Iterator<Item = &'static Model> {
    MODELS.iter().filter(move |model| model.context_url() == url)
}
