//! Places (clause 4.7) and geo-queries (clause 4.10): `near` and `within`.
//!
//! Distances are of a sphere. Lines are straight in degrees of longitude and latitude, as GeoJSON (RFC 7946) has them.

use serde_json::Value;

use crate::problem::{Problem, Result};

/// The mean radius of the earth in metres.
const RADIUS: f64 = 6_371_008.8;

/// Positions in one geometry.
const MOST_POSITIONS: usize = 1000;

type Position = [f64; 2];

/// A geometry of GeoJSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Geometry {
    Points(Vec<Position>),
    Lines(Vec<Vec<Position>>),
    /// Each with its outer ring and its holes.
    Polygons(Vec<Vec<Vec<Position>>>),
}

/// Whether a value means to be a geometry: no other object has these two members.
pub(crate) fn looks_like(value: &Value) -> bool {
    let kind = value.get("type").and_then(Value::as_str);
    value.get("coordinates").is_some()
        && matches!(
            kind,
            Some("Point" | "MultiPoint" | "LineString" | "MultiLineString" | "Polygon" | "MultiPolygon")
        )
}

/// The geometry of a GeoJSON object.
pub(crate) fn parse(value: &Value) -> Result<Geometry> {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let coordinates = value.get("coordinates").unwrap_or(&Value::Null);
    of(kind, coordinates)
}

fn of(kind: &str, coordinates: &Value) -> Result<Geometry> {
    let mut left = MOST_POSITIONS;
    let left = &mut left;
    let geometry = match kind {
        "Point" => position(coordinates, left).map(|position| Geometry::Points(vec![position])),
        "MultiPoint" => list(coordinates, left, position).map(Geometry::Points),
        "LineString" => line(coordinates, left).map(|line| Geometry::Lines(vec![line])),
        "MultiLineString" => list(coordinates, left, line).map(Geometry::Lines),
        "Polygon" => list(coordinates, left, ring).map(|rings| Geometry::Polygons(vec![rings])),
        "MultiPolygon" => {
            list(coordinates, left, |value, left| list(value, left, ring)).map(Geometry::Polygons)
        }
        _ => return Err(Problem::bad("this is not a geometry of GeoJSON")),
    };
    geometry.ok_or_else(|| {
        Problem::bad(format!("these are not the coordinates of a {kind}, or there are too many"))
    })
}

fn position(value: &Value, left: &mut usize) -> Option<Position> {
    *left = left.checked_sub(1)?;
    let parts = value.as_array().filter(|parts| (2..=3).contains(&parts.len()))?;
    let (longitude, latitude) = (parts[0].as_f64()?, parts[1].as_f64()?);
    let is_there = longitude.abs() <= 180.0 && latitude.abs() <= 90.0 && parts.iter().all(Value::is_number);
    is_there.then_some([longitude, latitude])
}

fn list<T>(
    value: &Value,
    left: &mut usize,
    part: impl Fn(&Value, &mut usize) -> Option<T>,
) -> Option<Vec<T>> {
    let parts = value.as_array().filter(|parts| !parts.is_empty())?;
    parts.iter().map(|value| part(value, left)).collect()
}

fn line(value: &Value, left: &mut usize) -> Option<Vec<Position>> {
    list(value, left, position).filter(|line| line.len() >= 2)
}

fn ring(value: &Value, left: &mut usize) -> Option<Vec<Position>> {
    line(value, left).filter(|ring| ring.len() >= 4 && ring.first() == ring.last())
}

/// What a geo-query asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Relation {
    /// At most, or at least, so many metres from a point.
    Near { from: Position, most: Option<f64>, least: Option<f64> },
    /// In the polygons.
    Within(Vec<Vec<Vec<Position>>>),
}

impl Relation {
    /// Of the parameters `georel`, `geometry` and `coordinates`.
    pub(crate) fn parse(georel: &str, geometry: &str, coordinates: &Value) -> Result<Self> {
        let reference = of(geometry, coordinates)?;
        let mut parts = georel.split(';');
        match (parts.next().unwrap_or_default(), reference) {
            ("near", Geometry::Points(points)) if points.len() == 1 => {
                let (mut most, mut least) = (None, None);
                for part in parts {
                    let wrong = || Problem::bad("near has maxDistance==METRES or minDistance==METRES");
                    let (name, metres) = part.split_once("==").ok_or_else(wrong)?;
                    let metres: f64 = metres.parse().map_err(|_| wrong())?;
                    let place = match name {
                        "maxDistance" => &mut most,
                        "minDistance" => &mut least,
                        _ => return Err(wrong()),
                    };
                    if !(metres >= 0.0 && metres.is_finite()) || place.replace(metres).is_some() {
                        return Err(wrong());
                    }
                }
                if most.is_none() && least.is_none() {
                    return Err(Problem::bad("near needs maxDistance or minDistance"));
                }
                Ok(Self::Near { from: points[0], most, least })
            }
            ("near", _) => Err(Problem::unsupported("near is there for a Point alone")),
            ("within", Geometry::Polygons(polygons)) if parts.next().is_none() => Ok(Self::Within(polygons)),
            ("within", _) => Err(Problem::bad("within needs a Polygon or a MultiPolygon, and nothing else")),
            ("contains" | "intersects" | "equals" | "disjoint" | "overlaps", _) => {
                Err(Problem::unsupported("of the geo-relationships there are near and within alone"))
            }
            _ => Err(Problem::bad("georel is not a geo-relationship")),
        }
    }

    /// Roughly what [`holds`](Self::holds) computes: each position of the one with each of the other.
    pub(crate) fn work(&self, place: &Geometry) -> usize {
        let own = match self {
            Self::Near { .. } => 1,
            Self::Within(polygons) => positions(polygons),
        };
        8 * own
            * match place {
                Geometry::Points(points) => points.len(),
                Geometry::Lines(lines) => lines.iter().map(Vec::len).sum(),
                Geometry::Polygons(polygons) => positions(polygons),
            }
    }

    pub(crate) fn holds(&self, place: &Geometry) -> bool {
        match self {
            Self::Near { from, most, least } => {
                let distance = place.distance(*from);
                most.is_none_or(|most| distance <= most) && least.is_none_or(|least| distance >= least)
            }
            Self::Within(polygons) => polygons.iter().any(|polygon| place.is_within(polygon)),
        }
    }
}

impl Geometry {
    /// Metres from a point to the nearest point of this.
    fn distance(&self, from: Position) -> f64 {
        let line = |line: &[Position]| {
            line.windows(2)
                .map(|ends| distance(from, nearest(from, ends[0], ends[1])))
                .fold(f64::MAX, f64::min)
        };
        match self {
            Self::Points(points) => {
                points.iter().map(|point| distance(from, *point)).fold(f64::MAX, f64::min)
            }
            Self::Lines(lines) => lines.iter().map(|points| line(points)).fold(f64::MAX, f64::min),
            Self::Polygons(polygons) if polygons.iter().any(|polygon| has(polygon, from)) => 0.0,
            Self::Polygons(polygons) => {
                polygons.iter().flatten().map(|ring| line(ring)).fold(f64::MAX, f64::min)
            }
        }
    }

    fn is_within(&self, polygon: &[Vec<Position>]) -> bool {
        let edges = || polygon.iter().flat_map(|ring| ring.windows(2));
        let line = |line: &[Position]| {
            line.iter().all(|point| has(polygon, *point))
                && !line.windows(2).any(|a| edges().any(|b| cross([a[0], a[1]], [b[0], b[1]])))
        };
        match self {
            Self::Points(points) => points.iter().all(|point| has(polygon, *point)),
            Self::Lines(lines) => lines.iter().all(|points| line(points)),
            // A hole of the polygon may lie in this one without touching it.
            Self::Polygons(polygons) => polygons.iter().all(|own| {
                own.iter().all(|ring| line(ring))
                    && !polygon[1..].iter().flatten().any(|point| has(own, *point) && !on_edge(own, *point))
            }),
        }
    }
}

fn positions(polygons: &[Vec<Vec<Position>>]) -> usize {
    polygons.iter().flatten().map(Vec::len).sum()
}

/// Haversine.
fn distance([a, b]: Position, [c, d]: Position) -> f64 {
    let (a, b, c, d) = (a.to_radians(), b.to_radians(), c.to_radians(), d.to_radians());
    let half = ((d - b) / 2.0).sin().powi(2) + b.cos() * d.cos() * ((c - a) / 2.0).sin().powi(2);
    2.0 * RADIUS * half.clamp(0.0, 1.0).sqrt().asin()
}

/// The point of a segment that is nearest, on the plane that touches the earth at `from`.
fn nearest(from: Position, start: Position, end: Position) -> Position {
    let width = from[1].to_radians().cos();
    let (x, y) = ((end[0] - start[0]) * width, end[1] - start[1]);
    let (u, v) = ((from[0] - start[0]) * width, from[1] - start[1]);
    let square = x * x + y * y;
    let part = if square == 0.0 { 0.0 } else { ((u * x + v * y) / square).clamp(0.0, 1.0) };
    [start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])]
}

/// Twice the area of the triangle; positive if it turns left.
fn turn(a: Position, b: Position, c: Position) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// Whether two segments cross in a point that is no end of either.
fn cross(a: [Position; 2], b: [Position; 2]) -> bool {
    turn(a[0], a[1], b[0]) * turn(a[0], a[1], b[1]) < 0.0
        && turn(b[0], b[1], a[0]) * turn(b[0], b[1], a[1]) < 0.0
}

fn on_edge(polygon: &[Vec<Position>], point: Position) -> bool {
    polygon.iter().flat_map(|ring| ring.windows(2)).any(|ends| {
        let between =
            |i: usize| point[i] >= ends[0][i].min(ends[1][i]) && point[i] <= ends[0][i].max(ends[1][i]);
        turn(ends[0], ends[1], point) == 0.0 && between(0) && between(1)
    })
}

/// Whether a polygon has a point. Its edges belong to it.
fn has(polygon: &[Vec<Position>], point: Position) -> bool {
    if on_edge(polygon, point) {
        return true;
    }
    // A ray to the east crosses the edges an odd number of times, those of holes too.
    let crossings = polygon.iter().flat_map(|ring| ring.windows(2)).filter(|ends| {
        let [a, b] = [ends[0], ends[1]];
        (a[1] > point[1]) != (b[1] > point[1])
            && point[0] < (b[0] - a[0]) * (point[1] - a[1]) / (b[1] - a[1]) + a[0]
    });
    crossings.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "all callers make it")]
    fn geometry(kind: &str, coordinates: Value) -> Geometry {
        parse(&json!({ "type": kind, "coordinates": coordinates })).unwrap()
    }

    fn near(georel: &str) -> Relation {
        Relation::parse(georel, "Point", &json!([139.7, 35.7])).unwrap()
    }

    #[test]
    fn near_is_measured_on_the_sphere() {
        // A thousandth of a degree of latitude is 111.2 m.
        let place = geometry("Point", json!([139.7, 35.701]));
        assert!(near("near;maxDistance==112").holds(&place) && !near("near;maxDistance==111").holds(&place));
        assert!(near("near;minDistance==111").holds(&place) && !near("near;minDistance==112").holds(&place));
        // Of longitude, at this latitude, 90.3 m.
        let place = geometry("Point", json!([139.701, 35.7]));
        assert!(near("near;maxDistance==91").holds(&place) && !near("near;maxDistance==90").holds(&place));
        // A line that passes is nearer than its ends.
        let place = geometry("LineString", json!([[139.69, 35.701], [139.71, 35.701]]));
        assert!(near("near;maxDistance==112").holds(&place) && !near("near;maxDistance==111").holds(&place));
        let around = json!([[[139.6, 35.6], [139.8, 35.6], [139.8, 35.8], [139.6, 35.8], [139.6, 35.6]]]);
        assert!(near("near;maxDistance==0").holds(&geometry("Polygon", around)));
    }

    #[test]
    fn within_knows_holes_edges_and_what_leaves_between_corners() {
        let ring =
            |low: f64, high: f64| json!([[low, low], [high, low], [high, high], [low, high], [low, low]]);
        let square = Relation::parse("within", "Polygon", &json!([ring(0.0, 10.0), ring(4.0, 6.0)])).unwrap();
        for (kind, coordinates, expected) in [
            ("Point", json!([1, 1]), true),
            ("Point", json!([0, 5]), true),
            ("Point", json!([5, 5]), false),
            ("Point", json!([11, 5]), false),
            ("MultiPoint", json!([[1, 1], [11, 5]]), false),
            ("LineString", json!([[1, 1], [9, 1]]), true),
            ("LineString", json!([[1, 5], [9, 5.5]]), false),
            ("Polygon", json!([ring(1.0, 3.0)]), true),
            ("Polygon", json!([ring(3.0, 7.0)]), false),
            ("Polygon", json!([ring(5.0, 12.0)]), false),
        ] {
            assert_eq!(square.holds(&geometry(kind, coordinates.clone())), expected, "{kind} {coordinates}");
        }
        // An angle: both ends are in it, the way between them is not.
        let angle = json!([[[0, 0], [10, 0], [10, 2], [2, 2], [2, 10], [0, 10], [0, 0]]]);
        let angle = Relation::parse("within", "Polygon", &angle).unwrap();
        assert!(!angle.holds(&geometry("LineString", json!([[9, 1], [1, 9]]))));
    }

    #[test]
    fn wrong_geometries_and_relations_are_refused() {
        for (kind, coordinates) in [
            ("Point", json!([1])),
            ("Point", json!([1, 91])),
            ("Point", json!([1, "2"])),
            ("Point", json!([1, 2, 3, 4])),
            ("LineString", json!([[1, 2]])),
            ("Polygon", json!([[[0, 0], [1, 0], [1, 1]]])),
            ("Polygon", json!([[[0, 0], [1, 0], [1, 1], [0, 1]]])),
            ("Polygon", json!([])),
            ("Circle", json!([1, 2])),
            ("MultiPoint", json!(vec![[1, 2]; MOST_POSITIONS + 1])),
        ] {
            assert!(of(kind, &coordinates).is_err(), "{kind} {coordinates}");
        }
        let point = json!([1, 2]);
        for georel in [
            "",
            "near",
            "near;maxDistance==x",
            "near;maxDistance==-1",
            "near;maxDistance=1",
            "near;maxDistance==NaN",
            "near;maxDistance==1;maxDistance==2",
            "near;x==1",
            "within",
            "beside",
        ] {
            assert!(Relation::parse(georel, "Point", &point).is_err(), "{georel}");
        }
        let unsupported = Relation::parse("intersects", "Point", &point).unwrap_err();
        assert_eq!(unsupported.kind, crate::problem::Kind::OperationNotSupported);
    }
}
