//! What a query asks for: types (clause 4.17), the query language `q` (clause 4.9), and places.

use std::{cell::Cell, iter::Peekable, str::CharIndices};

use jiff::Timestamp;
use regex_automata::nfa::thompson::{self, WhichCaptures, pikevm::PikeVM};
use serde_json::Value;

use crate::{
    attribute::{Instance, Kind},
    context::Context,
    entity::View,
    geo::{self, Geometry, Relation},
    problem::{Problem, Result},
    text,
};

/// The longest text of a query.
const LONGEST: usize = 4096;

/// How deep parentheses go.
const DEEPEST: usize = 16;

/// Terms in one query.
const MOST_TERMS: usize = 64;

/// Memory of a compiled pattern.
const PATTERN_SIZE: usize = 1 << 13;

/// The longest text that a pattern is tried on.
const LONGEST_TEXT: usize = 4096;

/// What may be computed: for a request, for a change that may be of interest to a subscription, and for a notification.
pub(crate) const FOR_REQUEST: usize = 1 << 23;
pub(crate) const FOR_CHANGE: usize = 1 << 17;
pub(crate) const FOR_NOTIFICATION: usize = 1 << 20;

/// What is left of what may be computed, in comparisons; none if that was not enough.
#[derive(Debug)]
pub(crate) struct Effort(Cell<Option<usize>>);

impl Effort {
    pub(crate) fn new(most: usize) -> Self {
        Self(Cell::new(Some(most)))
    }

    /// Takes so much of it; returns whether there was so much.
    fn take(&self, comparisons: usize) -> bool {
        self.0.set(self.0.get().and_then(|left| left.checked_sub(comparisons)));
        !self.is_spent()
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0.get().is_none()
    }
}

/// Terms that are bound by "and" (`;`), "or" (`|`) and parentheses. "And" binds more tightly.
#[derive(Clone, Debug)]
pub(crate) enum Terms<T> {
    All(Vec<Terms<T>>),
    Any(Vec<Terms<T>>),
    One(T),
}

impl<T> Terms<T> {
    /// How many of them are such.
    fn count(&self, one: &impl Fn(&T) -> bool) -> usize {
        match self {
            Self::All(terms) | Self::Any(terms) => terms.iter().map(|term| term.count(one)).sum(),
            Self::One(term) => usize::from(one(term)),
        }
    }

    pub(crate) fn holds(&self, one: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.holds(one)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(one)),
            Self::One(term) => one(term),
        }
    }
}

/// Reads terms. Those between quotation marks are not looked into.
struct Parser<'t, 'p, T> {
    text: &'t str,
    rest: Peekable<CharIndices<'t>>,
    /// What separates alternatives, beside `|`.
    comma: bool,
    terms: usize,
    term: &'p dyn Fn(&str) -> Result<T>,
}

fn terms<T>(text: &str, comma: bool, term: &dyn Fn(&str) -> Result<T>) -> Result<Terms<T>> {
    if text.len() > LONGEST {
        return Err(Problem::too_complex("the query is too long"));
    }
    let mut parser = Parser { text, rest: text.char_indices().peekable(), comma, terms: 0, term };
    let parsed = parser.any(0)?;
    match parser.rest.next() {
        None => Ok(parsed),
        Some((_, c)) => Err(Problem::bad(format!("the query has a {c:?} too many"))),
    }
}

impl<T> Parser<'_, '_, T> {
    fn any(&mut self, level: usize) -> Result<Terms<T>> {
        if level > DEEPEST {
            return Err(Problem::too_complex("the query has too many parentheses in each other"));
        }
        let mut alternatives = vec![self.all(level)?];
        let comma = self.comma;
        while self.rest.next_if(|(_, c)| *c == '|' || (comma && *c == ',')).is_some() {
            alternatives.push(self.all(level)?);
        }
        Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Terms::Any(alternatives) })
    }

    fn all(&mut self, level: usize) -> Result<Terms<T>> {
        let mut conditions = vec![self.one(level)?];
        while self.rest.next_if(|(_, c)| *c == ';').is_some() {
            conditions.push(self.one(level)?);
        }
        Ok(if conditions.len() == 1 { conditions.remove(0) } else { Terms::All(conditions) })
    }

    fn one(&mut self, level: usize) -> Result<Terms<T>> {
        if self.rest.next_if(|(_, c)| *c == '(').is_some() {
            let inner = self.any(level + 1)?;
            return match self.rest.next() {
                Some((_, ')')) => Ok(inner),
                _ => Err(Problem::bad("the query has a parenthesis that is not closed")),
            };
        }
        self.terms += 1;
        if self.terms > MOST_TERMS {
            return Err(Problem::too_complex("the query has too many terms"));
        }
        let start = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        let (mut quoted, comma) = (false, self.comma);
        // A pattern may have parentheses and bars: it goes to the next `;`, or to a parenthesis that is not opened in it.
        let (mut open, mut is_pattern, mut before) = (0_usize, false, ' ');
        while let Some((_, c)) = self.rest.peek().copied() {
            match c {
                '"' if before != '\\' => quoted = !quoted,
                _ if quoted => {}
                '~' => is_pattern = true,
                '(' if is_pattern => open += 1,
                ')' if is_pattern && open > 0 => open -= 1,
                '|' if is_pattern && open > 0 => {}
                ';' | '|' | '(' | ')' => break,
                ',' if comma => break,
                _ => {}
            }
            before = c;
            self.rest.next();
        }
        let end = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        (self.term)(&self.text[start..end]).map(Terms::One)
    }
}

/// A selection of types, each as a URI.
pub(crate) fn types(text: &str, context: &Context) -> Result<Terms<String>> {
    terms(text, true, &|name| context.expand(name))
}

/// A pattern, which may match anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(PikeVM);

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let config =
            thompson::Config::new().nfa_size_limit(Some(PATTERN_SIZE)).which_captures(WhichCaptures::None);
        let pattern = PikeVM::builder().thompson(config).build(text);
        pattern.map(Self).map_err(|error| match error.size_limit() {
            Some(_) => Problem::too_complex("the pattern is too complex"),
            None => Problem::bad("the pattern is not a regular expression"),
        })
    }

    fn matches(&self, text: &str, effort: &Effort) -> bool {
        let Self(pattern) = self;
        text.len() <= LONGEST_TEXT
            && effort.take((text.len() + 1) * pattern.get_nfa().states().len())
            && pattern.is_match(&mut pattern.create_cache(), text)
    }
}

/// A query in the language `q`.
pub(crate) type Q = Terms<Condition>;

pub(crate) fn q(text: &str, context: &Context) -> Result<Q> {
    terms(text, false, &|term| Condition::parse(term, context))
}

/// A condition on one attribute.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    /// The attribute, and those of it, as URIs; the names as they were written, for what is none.
    path: Vec<(String, String)>,
    /// Into the value.
    trail: Vec<String>,
    /// None if the attribute must be there, and no more.
    test: Option<Test>,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(Vec<Literal>),
    Unequal(Vec<Literal>),
    Between(Literal, Literal),
    NotBetween(Literal, Literal),
    Less(Literal),
    LessOrEqual(Literal),
    Greater(Literal),
    GreaterOrEqual(Literal),
    Matches(Pattern),
    MatchesNot(Pattern),
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Number(f64),
    Flag(bool),
    Time(Timestamp),
    Text(String),
}

impl Literal {
    fn parse(text: &str) -> Result<Self> {
        if let Some(quoted) = text.strip_prefix('"') {
            let inner = quoted.strip_suffix('"').filter(|inner| !inner.replace("\\\"", "").contains('"'));
            let inner =
                inner.ok_or_else(|| Problem::bad("the query has a quotation mark that is not closed"))?;
            return Ok(Self::Text(inner.replace("\\\"", "\"")));
        }
        match text {
            "true" => return Ok(Self::Flag(true)),
            "false" => return Ok(Self::Flag(false)),
            "" => return Err(Problem::bad("the query has an empty value")),
            _ => {}
        }
        let is_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
        if is_number && let Some(number) = text.parse().ok().filter(|number: &f64| number.is_finite()) {
            return Ok(Self::Number(number));
        }
        if let Some(time) = text::time(text) {
            return Ok(Self::Time(time));
        }
        // A day, a time of a day, a URI, or a word.
        if text.contains(['"', '(', ')', '=', '<', '>']) {
            return Err(Problem::bad(format!("the query has a wrong value: {text:?}")));
        }
        Ok(Self::Text(text.to_owned()))
    }

    /// How the value compares to this; none if it is of another kind.
    fn order(&self, value: &Value, effort: &Effort) -> Option<std::cmp::Ordering> {
        let value = value.get("@value").unwrap_or(value);
        // To read a time takes longer than to compare.
        if !effort.take(if matches!(self, Self::Time(_)) { 16 } else { 1 }) {
            return None;
        }
        match (self, value) {
            (Self::Number(own), Value::Number(value)) => value.as_f64()?.partial_cmp(own),
            (Self::Flag(own), Value::Bool(value)) => Some(value.cmp(own)),
            (Self::Time(own), Value::String(value)) => Some(text::time(value)?.cmp(own)),
            (Self::Text(own), Value::String(value)) => Some(value.as_str().cmp(own)),
            _ => None,
        }
    }
}

fn split_name<'t>(text: &'t str, operators: &[&'static str]) -> (&'t str, Option<(&'static str, &'t str)>) {
    let found = operators.iter().filter_map(|operator| Some((text.find(operator)?, *operator)));
    // The first one, and of those that begin there the longest.
    match found.min_by_key(|(at, operator)| (*at, usize::MAX - operator.len())) {
        Some((at, operator)) => (&text[..at], Some((operator, &text[at + operator.len()..]))),
        None => (text, None),
    }
}

impl Condition {
    fn parse(text: &str, context: &Context) -> Result<Self> {
        let (name, test) = split_name(text, &["==", "!=", ">=", "<=", ">", "<", "~=", "!~="]);
        let wrong = || Problem::bad(format!("the query has a wrong attribute: {name:?}"));
        let (path, trail) = match name.split_once('[') {
            Some((path, trail)) => {
                (path, trail.strip_suffix(']').filter(|trail| !trail.is_empty()).ok_or_else(wrong)?)
            }
            None => (name, ""),
        };
        // A URI has dots of its own.
        let names: Vec<&str> = if path.contains("://") { vec![path] } else { path.split('.').collect() };
        let path = names
            .into_iter()
            .map(|name| Ok((context.expand(name)?, name.to_owned())))
            .collect::<Result<_>>()?;
        let trail = trail.split_terminator('.').map(str::to_owned).collect::<Vec<_>>();
        if trail.iter().any(String::is_empty) {
            return Err(wrong());
        }
        let test = test.map(|(operator, value)| Test::parse(operator, value)).transpose()?;
        Ok(Self { path, trail, test })
    }

    fn has_pattern(&self) -> bool {
        matches!(self.test, Some(Test::Matches(_) | Test::MatchesNot(_)))
    }

    fn holds(&self, view: &View<'_>, effort: &Effort) -> bool {
        let Some(((iri, name), nested)) = self.path.split_first() else { return false };
        if let Some(instances) = view.attribute(iri) {
            return instances.iter().any(|instance| self.in_instance(instance, nested, effort));
        }
        let time = match name.as_str() {
            "createdAt" => view.created(),
            "modifiedAt" => view.modified(),
            _ => return false,
        };
        nested.is_empty() && self.trail.is_empty() && self.passes(&Value::from(text::print(time)), effort)
    }

    fn in_instance(&self, instance: &Instance, path: &[(String, String)], effort: &Effort) -> bool {
        let Some(((iri, name), nested)) = path.split_first() else {
            let is_equality = |test: &Test| test.is_equality();
            if instance.kind == Kind::Relationship && !self.test.as_ref().is_none_or(is_equality) {
                return false;
            }
            let mut value = &instance.value;
            for (i, member) in self.trail.iter().enumerate() {
                // In every language.
                if i == 0 && instance.kind == Kind::LanguageProperty && member == "*" {
                    let texts = value.as_object().into_iter().flat_map(|map| map.values());
                    let texts = texts.flat_map(|text| match text {
                        Value::Array(texts) => texts.as_slice(),
                        text => std::slice::from_ref(text),
                    });
                    return self.trail.len() == 1 && self.passes(&texts.cloned().collect(), effort);
                }
                let Some(inner) = value.get(member) else { return false };
                value = inner;
            }
            return self.passes(value, effort);
        };
        if let Some(inner) = instance.nested.get(iri) {
            return self.in_instance(inner, nested, effort);
        }
        let value = match name.as_str() {
            "observedAt" => instance.observed_at.map(text::print),
            "createdAt" => Some(text::print(instance.created)),
            "modifiedAt" => Some(text::print(instance.modified)),
            "unitCode" => instance.unit_code.clone(),
            "datasetId" => instance.dataset.clone(),
            _ => None,
        };
        nested.is_empty()
            && self.trail.is_empty()
            && value.is_some_and(|value| self.passes(&Value::from(value), effort))
    }

    fn passes(&self, value: &Value, effort: &Effort) -> bool {
        self.test.as_ref().is_none_or(|test| test.passes(value, effort))
    }
}

impl Test {
    /// What there is for the object of a relationship.
    fn is_equality(&self) -> bool {
        matches!(self, Self::Equal(_) | Self::Unequal(_) | Self::Between(..) | Self::NotBetween(..))
    }

    fn parse(operator: &str, text: &str) -> Result<Self> {
        let literal = || Literal::parse(text);
        let unquoted = || text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let range = || match text.split_once("..") {
            Some((low, high)) if !text.starts_with('"') => Some((low, high)),
            _ => None,
        };
        Ok(match (operator, range()) {
            ("==", Some((low, high))) => Self::Between(Literal::parse(low)?, Literal::parse(high)?),
            ("!=", Some((low, high))) => Self::NotBetween(Literal::parse(low)?, Literal::parse(high)?),
            ("==", None) => Self::Equal(literals(text)?),
            ("!=", None) => Self::Unequal(literals(text)?),
            ("<", _) => Self::Less(literal()?),
            ("<=", _) => Self::LessOrEqual(literal()?),
            (">", _) => Self::Greater(literal()?),
            (">=", _) => Self::GreaterOrEqual(literal()?),
            ("~=", _) => Self::Matches(Pattern::parse(unquoted())?),
            _ => Self::MatchesNot(Pattern::parse(unquoted())?),
        })
    }

    fn passes(&self, value: &Value, effort: &Effort) -> bool {
        let any = |test: &dyn Fn(&Value) -> bool| match value {
            Value::Array(parts) => parts.iter().any(test),
            value => test(value),
        };
        let order = |value: &Value, literal: &Literal| literal.order(value, effort);
        let is =
            |value: &Value, literal: &Literal| order(value, literal).is_some_and(std::cmp::Ordering::is_eq);
        let between = |value: &Value, low: &Literal, high: &Literal| {
            order(value, low).is_some_and(std::cmp::Ordering::is_ge)
                && order(value, high).is_some_and(std::cmp::Ordering::is_le)
        };
        let matches = |value: &Value, pattern: &Pattern| {
            value.as_str().is_some_and(|text| pattern.matches(text, effort))
        };
        match self {
            Self::Equal(literals) => any(&|value| literals.iter().any(|literal| is(value, literal))),
            Self::Unequal(literals) => !any(&|value| literals.iter().any(|literal| is(value, literal))),
            Self::Between(low, high) => any(&|value| between(value, low, high)),
            Self::NotBetween(low, high) => !any(&|value| between(value, low, high)),
            Self::Less(literal) => any(&|value| order(value, literal).is_some_and(std::cmp::Ordering::is_lt)),
            Self::LessOrEqual(literal) => {
                any(&|value| order(value, literal).is_some_and(std::cmp::Ordering::is_le))
            }
            Self::Greater(literal) => {
                any(&|value| order(value, literal).is_some_and(std::cmp::Ordering::is_gt))
            }
            Self::GreaterOrEqual(literal) => {
                any(&|value| order(value, literal).is_some_and(std::cmp::Ordering::is_ge))
            }
            Self::Matches(pattern) => any(&|value| matches(value, pattern)),
            Self::MatchesNot(pattern) => !any(&|value| matches(value, pattern)),
        }
    }
}

/// Values with commas between them, of which texts may have some too.
fn literals(text: &str) -> Result<Vec<Literal>> {
    let (mut quoted, mut before) = (false, ' ');
    let parts = text.split(|c: char| {
        quoted ^= c == '"' && before != '\\';
        before = c;
        c == ',' && !quoted
    });
    parts.map(Literal::parse).collect()
}

/// A geo-query.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The geo-property, as a URI.
    pub(crate) property: String,
    pub(crate) relation: Relation,
}

impl Place {
    pub(crate) fn parse(
        georel: &str,
        geometry: &str,
        coordinates: &Value,
        property: Option<&str>,
        context: &Context,
    ) -> Result<Self> {
        let property = context.expand(property.unwrap_or("location"))?;
        Ok(Self { property, relation: Relation::parse(georel, geometry, coordinates)? })
    }

    fn holds(&self, view: &View<'_>, effort: &Effort) -> bool {
        let holds = |place: &Geometry| effort.take(self.relation.work(place)) && self.relation.holds(place);
        let is_there = |instance: &Instance| {
            instance.kind == Kind::GeoProperty
                && !effort.is_spent()
                && geo::parse(&instance.value).is_ok_and(|place| holds(&place))
        };
        view.attribute(&self.property).is_some_and(|instances| instances.iter().any(is_there))
    }
}

/// Which entities are asked for, by what they are called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) id_pattern: Option<Pattern>,
    pub(crate) types: Option<Terms<String>>,
}

impl Selector {
    fn selects(&self, view: &View<'_>, effort: &Effort) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.iter().any(|id| id == view.id))
            && self.id_pattern.as_ref().is_none_or(|pattern| pattern.matches(view.id, effort))
            && self.types.as_ref().is_none_or(|types| types.holds(&|name| view.has_type(name)))
    }
}

/// All of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    /// One of these must select an entity; all are selected if there are none.
    pub(crate) selectors: Vec<Selector>,
    /// An entity must have one of these attributes, as URIs, and is given with them alone.
    pub(crate) attributes: Option<Vec<String>>,
    pub(crate) q: Option<Q>,
    pub(crate) place: Option<Place>,
}

impl Query {
    /// Whether it asks for this entity. If that took more than may be computed, it does not.
    pub(crate) fn selects(&self, view: &View<'_>, effort: &Effort) -> bool {
        (self.selectors.is_empty() || self.selectors.iter().any(|selector| selector.selects(view, effort)))
            && self
                .attributes
                .as_ref()
                .is_none_or(|names| names.iter().any(|name| view.attribute(name).is_some()))
            && self.q.as_ref().is_none_or(|q| q.holds(&|condition| condition.holds(view, effort)))
            && self.place.as_ref().is_none_or(|place| place.holds(view, effort))
            && !effort.is_spent()
    }

    /// The memory of what was compiled for it.
    pub(crate) fn size(&self) -> usize {
        let of_ids = self.selectors.iter().filter(|selector| selector.id_pattern.is_some()).count();
        let of_values = self.q.as_ref().map_or(0, |q| q.count(&Condition::has_pattern));
        (of_ids + of_values) * PATTERN_SIZE
    }
}
