//! Who may receive a stream, by attributes: policies in Cedar, strictly typed.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    str::FromStr,
    sync::{Arc, OnceLock},
};

use anyhow::{Context as _, Result, ensure};
use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use sha2::{Digest as _, Sha256};
use smart_city_frame::Class;

use crate::{
    config::{StreamEntry, UserEntry},
    engine::MOST_GUESTS,
};

const SCHEMA: &str = include_str!("policy.cedarschema");
const POLICIES: &str = include_str!("policy.cedar");

/// The SHA-256 of the policies and their schema: where it is the same, attributes mean the same.
#[must_use]
pub fn hash() -> [u8; 32] {
    Sha256::new().chain_update(SCHEMA).chain_update(POLICIES).finalize().into()
}

/// The schema and the policies, which are the same for all attributes. To parse and check them takes longer than to decide by them.
struct Rules {
    schema: Schema,
    policies: PolicySet,
}

impl Rules {
    fn parse() -> Result<Self> {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA)?;
        let policies = PolicySet::from_str(POLICIES)?;
        let result = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        ensure!(result.validation_passed(), "the policies do not fit their schema: {result}");
        Ok(Self { schema, policies })
    }

    /// Those of this process, which are parsed once.
    fn get() -> Result<&'static Self> {
        static RULES: OnceLock<Rules> = OnceLock::new();
        match RULES.get() {
            Some(rules) => Ok(rules),
            None => Self::parse().map(|rules| RULES.get_or_init(|| rules)),
        }
    }
}

/// Whether a user receives a reading, and in words why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the user receives it.
    pub allowed: bool,
    /// The rules that failed; empty if it is allowed.
    pub reason: String,
}

impl Decision {
    /// What cannot be decided is refused.
    fn of(decided: Result<Self>) -> Self {
        let undecided = |error| Self { allowed: false, reason: format!("not decided: {error:#}") };
        decided.unwrap_or_else(undecided)
    }
}

/// A decision for each user.
pub type Decisions = Arc<[Decision]>;

/// The policies with the attributes of a city, and what they decided so far.
///
/// Attributes do not change within one: a reload makes a new one, and what was decided is forgotten with the old.
pub struct Policy {
    rules: &'static Rules,
    entities: Entities,
    users: Vec<String>,
    /// By stream, and whether the device is not isolated: the decision of each user.
    decided: RefCell<HashMap<(u16, bool), Decisions>>,
    /// The same by attributes.
    decided_for: RefCell<HashMap<UserEntry, Decided>>,
}

/// Decisions by stream, and whether the device is not isolated.
type Decided = HashMap<(u16, bool), Decision>;

/// Attributes of which decisions are remembered: more than there are guests of 64 cities, who are asked about one after the other at each
/// reading. Of whoever has others, all are forgotten.
const REMEMBERED: usize = 64 * MOST_GUESTS;

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("users", &self.users).finish_non_exhaustive()
    }
}

impl Policy {
    /// Takes the attributes over.
    ///
    /// # Errors
    /// If policies, schema and attributes do not fit each other, which is a fault of this program.
    pub fn new(
        all_users: &BTreeMap<String, UserEntry>,
        streams: &BTreeMap<u16, StreamEntry>,
    ) -> Result<Self> {
        let rules = Rules::get()?;
        let mut entities = Vec::new();
        for (id, user) in all_users {
            entities.push(user_entity(id, user)?);
        }
        for (id, stream) in streams {
            entities.push(stream_entity(*id, stream)?);
        }
        let entities = Entities::from_entities(entities, Some(&rules.schema)).context("attributes")?;
        let users = all_users.keys().cloned().collect();
        Ok(Self { rules, entities, users, decided: RefCell::default(), decided_for: RefCell::default() })
    }

    /// The users that decisions are about, in their order.
    #[must_use]
    pub fn users(&self) -> &[String] {
        &self.users
    }

    /// For each user whether a reading of this stream may be received, from a device that is isolated or not.
    pub fn decide(&self, stream: u16, device_ok: bool) -> Decisions {
        let mut decided = self.decided.borrow_mut();
        let decisions = decided.entry((stream, device_ok)).or_insert_with(|| {
            let each = self.users.iter().map(|user| self.ask(&self.entities, user, stream, device_ok));
            each.map(Decision::of).collect()
        });
        Arc::clone(decisions)
    }

    /// Whether somebody with these attributes may receive it, who need not be one of the users.
    pub fn decide_for(&self, user: &UserEntry, stream: u16, device_ok: bool) -> Decision {
        let mut decided = self.decided_for.borrow_mut();
        let before = decided.get(user).and_then(|decided| decided.get(&(stream, device_ok)));
        if let Some(decision) = before {
            return decision.clone();
        }
        if decided.len() >= REMEMBERED && !decided.contains_key(user) {
            decided.clear();
        }
        let decision = Decision::of(self.ask_for(user, stream, device_ok));
        decided.entry(user.clone()).or_default().insert((stream, device_ok), decision.clone());
        decision
    }

    fn ask_for(&self, user: &UserEntry, stream: u16, device_ok: bool) -> Result<Decision> {
        // There is nobody else, so that the name may be any.
        let entry =
            self.entities.get(&uid("Stream", &stream.to_string())?).context("there is no such stream")?;
        let entities = [user_entity("", user)?, entry.clone()];
        let entities = Entities::from_entities(entities, Some(&self.rules.schema)).context("attributes")?;
        self.ask(&entities, "", stream, device_ok)
    }

    fn ask(&self, entities: &Entities, user: &str, stream: u16, device_ok: bool) -> Result<Decision> {
        let context = [("device_ok".to_owned(), RestrictedExpression::new_bool(device_ok))];
        let request = Request::new(
            uid("User", user)?,
            uid("Action", "receive")?,
            uid("Stream", &stream.to_string())?,
            Context::from_pairs(context)?,
            Some(&self.rules.schema),
        )?;
        let response = Authorizer::new().is_authorized(&request, &self.rules.policies, entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(error.clone().into());
        }
        let allowed = response.decision() == CedarDecision::Allow;
        let mut reasons: Vec<&str> = Vec::new();
        if !allowed {
            let failed = response.diagnostics().reason();
            reasons.extend(failed.filter_map(|policy| self.rules.policies.annotation(policy, "reason")));
            reasons.sort_unstable();
            if reasons.is_empty() {
                reasons.push("no rule allows it");
            }
        }
        Ok(Decision { allowed, reason: reasons.join("; ") })
    }
}

fn uid(kind: &str, id: &str) -> Result<EntityUid> {
    Ok(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind)?, EntityId::new(id)))
}

fn reference(kind: &str, id: &str) -> Result<RestrictedExpression> {
    Ok(RestrictedExpression::new_entity_uid(uid(kind, id)?))
}

fn references(kind: &str, ids: &[String]) -> Result<RestrictedExpression> {
    let each: Result<Vec<_>> = ids.iter().map(|id| reference(kind, id)).collect();
    Ok(RestrictedExpression::new_set(each?))
}

fn entity<const N: usize>(uid: EntityUid, attributes: [(&str, RestrictedExpression); N]) -> Result<Entity> {
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    Ok(Entity::new(uid, HashMap::from(attributes), HashSet::new())?)
}

fn user_entity(id: &str, user: &UserEntry) -> Result<Entity> {
    entity(
        uid("User", id)?,
        [
            ("city", reference("City", &user.city)?),
            ("departments", references("Department", &user.departments)?),
            ("level", RestrictedExpression::new_long(user.level.into())),
        ],
    )
}

fn stream_entity(id: u16, stream: &StreamEntry) -> Result<Entity> {
    entity(
        uid("Stream", &id.to_string())?,
        [
            ("class", reference("Class", class_name(stream.stream.class))?),
            ("owner", reference("City", &stream.owner)?),
            ("partners", references("City", &stream.partners)?),
            ("departments", references("Department", &stream.departments)?),
            ("min_level", RestrictedExpression::new_long(stream.min_level.into())),
        ],
    )
}

/// As in `city.toml` and in the policies.
#[must_use]
pub fn class_name(class: Class) -> &'static str {
    match class {
        Class::Public => "public",
        Class::Internal => "internal",
        Class::Confidential => "confidential",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of all guests stay remembered, who are asked about one after the other.
    #[test]
    fn guests_of_many_cities_are_remembered() {
        let policy = Policy::new(&BTreeMap::new(), &BTreeMap::new()).unwrap();
        for _ in 0..2 {
            for i in 0..5 * MOST_GUESTS {
                let user = UserEntry { city: format!("city-{i}"), departments: Vec::new(), level: 0 };
                // There is no such stream.
                assert!(!policy.decide_for(&user, 1, true).allowed);
            }
            assert_eq!(policy.decided_for.borrow().len(), 5 * MOST_GUESTS);
        }
    }
}
