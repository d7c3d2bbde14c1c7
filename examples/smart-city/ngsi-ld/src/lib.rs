//! NGSI-LD (ETSI GS CIM 009 v1.6) over what devices measure and what users write.
//!
//! ```text
//! readings ──> Broker::reading ── mapping ──┐
//!                                           v
//! request, user ──> Broker::respond ──> parts of entities ── Policy::sees ──> view ──> answer
//!                                           └── subscriptions ── Policy::sees ──> view ──> notification
//! ```
//!
//! An entity consists of *parts*, one for each source: a stream of a device, or a user who wrote it. [`Policy`] decides for each
//! user and source. Everything that is answered or notified is made from a [view](entity::View), and a view has only the parts that
//! its user may see. So what may not be seen is as if it were not there: in retrievals, queries, counts, pages, types and notifications.
//!
//! The crate knows nothing of MQTT, of frames, or of how users prove who they are.
#![forbid(unsafe_code)]

mod api;
mod attribute;
mod broker;
mod context;
mod deliver;
mod entity;
mod geo;
mod keep;
pub mod mapping;
mod models;
mod problem;
mod push;
mod query;
mod subscription;
mod text;

pub use api::MOST_BODY;
pub use broker::{Broker, Job, Label, Policy, Publisher, Reading, Source, Transport};
pub use context::is_context;
pub use deliver::MOST_CONNECTIONS;
pub use keep::{Keeper, Key, What};
pub use models::{Model, Range, model};
pub use problem::{bare, refused};
pub use push::Pushed;
