//! Actions and sources with their types as JSON, and the table that holds them.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::action::{Action, Ctx, Decision, Found, Item, Listed, LookBefore, Source, View, Wanted};
use super::ports::Boxed;
use crate::model::{
    ActionError, ActionSpec, Catalog, Effect, ErrorKind, Finding, KindSpec, Resource, SourceSpec, Tier, Verdict,
};

/// An [`Action`] with its types as JSON, so that a table can hold it.
pub trait DynAction: Send + Sync {
    /// See [`Action::NAME`].
    fn name(&self) -> &'static str;
    /// See [`Action::TIER`].
    fn tier(&self) -> Tier;
    /// What runbooks see of it. Builds the schema of its parameters anew.
    fn spec(&self) -> ActionSpec;
    /// See [`Action::BATCH`].
    fn batch(&self) -> usize;
    /// See [`Action::LOOK_BEFORE`].
    fn look_before(&self) -> LookBefore;
    /// Whether `with` has the right form.
    fn check(&self, params: &Map<String, Value>) -> Result<(), String>;
    /// See [`Action::discover`].
    fn discover<'a>(
        &'a self,
        cx: &'a Ctx,
        params: &'a Map<String, Value>,
        members: &'a [Resource],
    ) -> Boxed<'a, Result<Vec<Found<Value>>, ActionError>>;
    /// See [`Action::look_again`].
    fn look_again<'a>(
        &'a self,
        cx: &'a Ctx,
        params: &'a Map<String, Value>,
        members: &'a [Resource],
        approved: &'a [Item<Value>],
    ) -> Boxed<'a, Result<Vec<Found<Value>>, ActionError>>;
    /// See [`Action::plan`].
    fn plan(&self, view: &View, params: &Map<String, Value>, found: &Found<Value>) -> Result<Decision, ActionError>;
    /// See [`Action::drift`].
    fn drift(&self, approved: &Value, now: &Value) -> Result<Option<String>, ActionError>;
    /// See [`Action::preflight`].
    fn preflight<'a>(
        &'a self,
        cx: &'a Ctx,
        params: &'a Map<String, Value>,
        items: &'a [Item<Value>],
    ) -> Boxed<'a, Result<Vec<Finding>, ActionError>>;
    /// See [`Action::apply`].
    fn apply<'a>(
        &'a self,
        cx: &'a Ctx,
        params: &'a Map<String, Value>,
        items: &'a [Item<Value>],
    ) -> Boxed<'a, Result<Vec<Effect>, ActionError>>;
    /// See [`Action::verify`].
    fn verify(&self, view: &View, params: &Map<String, Value>, found: &Found<Value>) -> Result<Verdict, ActionError>;
    /// See [`Action::made`].
    fn made(&self, found: &Found<Value>) -> Result<Effect, ActionError>;
    /// See [`Action::restored`].
    fn restored(&self, prior: &Value, now: &Value) -> Result<Verdict, ActionError>;
    /// See [`Action::undo`].
    fn undo<'a>(
        &'a self,
        cx: &'a Ctx,
        params: &'a Map<String, Value>,
        item: &'a Item<Value>,
        effect: &'a Effect,
    ) -> Boxed<'a, Result<(), ActionError>>;
}

/// A [`Source`] with its types as JSON.
pub trait DynSource: Send + Sync {
    /// See [`Source::NAME`].
    fn name(&self) -> &'static str;
    /// What runbooks see of it.
    fn spec(&self) -> SourceSpec;
    /// The kind of its members.
    fn kind(&self) -> &'static KindSpec;
    /// Whether `with` has the right form.
    fn check(&self, params: &Map<String, Value>) -> Result<(), String>;
    /// See [`Source::ask`].
    fn list<'a>(
        &'a self,
        cx: &'a Ctx,
        params: &'a Map<String, Value>,
        wanted: &'a Wanted<'a>,
    ) -> Boxed<'a, Result<Listed, ActionError>>;
    /// See [`Source::refuse`].
    fn refuse(
        &self,
        view: &View,
        params: &Map<String, Value>,
        members: &[Resource],
    ) -> Result<Option<String>, ActionError>;
}

/// Reads JSON as one of an action's own types.
fn read<T: DeserializeOwned>(what: &str, value: Value) -> Result<T, ActionError> {
    serde_json::from_value(value).map_err(|error| ActionError::new(ErrorKind::Other, format!("{what}: {error}")))
}

fn params<T: DeserializeOwned>(params: &Map<String, Value>) -> Result<T, ActionError> {
    read("with", Value::Object(params.clone()))
}

fn found<P: DeserializeOwned>(found: &Found<Value>) -> Result<Found<P>, ActionError> {
    let prior = read("the state before", found.prior.clone())?;
    Ok(Found { member: found.member.clone(), resource: found.resource.clone(), prior })
}

fn item<P: DeserializeOwned>(item: &Item<Value>) -> Result<Item<P>, ActionError> {
    Ok(Item {
        change: item.change.clone(),
        member: item.member.clone(),
        resource: item.resource.clone(),
        prior: read("the state before", item.prior.clone())?,
    })
}

/// What an action found, with its prior as JSON.
fn in_json<P: Serialize>(found: Vec<Found<P>>) -> Vec<Found<Value>> {
    let json = |f: Found<P>| {
        let prior = serde_json::to_value(&f.prior).expect("a prior is always JSON");
        Found { member: f.member, resource: f.resource, prior }
    };
    found.into_iter().map(json).collect()
}

impl<A: Action> DynAction for A {
    fn name(&self) -> &'static str {
        A::NAME
    }

    fn tier(&self) -> Tier {
        A::TIER
    }

    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: A::NAME,
            tier: A::TIER,
            kinds: A::KINDS,
            title: A::TITLE,
            description: A::DESCRIPTION,
            undo: A::UNDO,
            permissions: A::PERMISSIONS,
            undo_permissions: A::UNDO_PERMISSIONS,
            only_on: A::ONLY_ON,
            params: schemars::schema_for!(A::Params),
            example: A::EXAMPLE,
        }
    }

    fn batch(&self) -> usize {
        A::BATCH
    }

    fn look_before(&self) -> LookBefore {
        A::LOOK_BEFORE
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        params::<A::Params>(with).map(drop).map_err(|error| error.message)
    }

    fn discover<'a>(
        &'a self,
        cx: &'a Ctx,
        with: &'a Map<String, Value>,
        members: &'a [Resource],
    ) -> Boxed<'a, Result<Vec<Found<Value>>, ActionError>> {
        Box::pin(async move { Ok(in_json(Action::discover(self, cx, &params(with)?, members).await?)) })
    }

    fn look_again<'a>(
        &'a self,
        cx: &'a Ctx,
        with: &'a Map<String, Value>,
        members: &'a [Resource],
        approved: &'a [Item<Value>],
    ) -> Boxed<'a, Result<Vec<Found<Value>>, ActionError>> {
        Box::pin(async move {
            let approved = approved.iter().map(item).collect::<Result<Vec<_>, _>>()?;
            Ok(in_json(Action::look_again(self, cx, &params(with)?, members, &approved).await?))
        })
    }

    fn plan(&self, view: &View, with: &Map<String, Value>, f: &Found<Value>) -> Result<Decision, ActionError> {
        Ok(Action::plan(self, view, &params(with)?, &found(f)?))
    }

    fn drift(&self, approved: &Value, now: &Value) -> Result<Option<String>, ActionError> {
        let what = "the state before";
        Ok(Action::drift(self, &read(what, approved.clone())?, &read(what, now.clone())?))
    }

    fn preflight<'a>(
        &'a self,
        cx: &'a Ctx,
        with: &'a Map<String, Value>,
        items: &'a [Item<Value>],
    ) -> Boxed<'a, Result<Vec<Finding>, ActionError>> {
        Box::pin(async move {
            let items = items.iter().map(item).collect::<Result<Vec<_>, _>>()?;
            Ok(Action::preflight(self, cx, &params(with)?, &items).await)
        })
    }

    fn apply<'a>(
        &'a self,
        cx: &'a Ctx,
        with: &'a Map<String, Value>,
        items: &'a [Item<Value>],
    ) -> Boxed<'a, Result<Vec<Effect>, ActionError>> {
        Box::pin(async move {
            let items = items.iter().map(item).collect::<Result<Vec<_>, _>>()?;
            Action::apply(self, cx, &params(with)?, &items).await
        })
    }

    fn verify(&self, view: &View, with: &Map<String, Value>, f: &Found<Value>) -> Result<Verdict, ActionError> {
        Ok(Action::verify(self, view, &params(with)?, &found(f)?))
    }

    fn made(&self, f: &Found<Value>) -> Result<Effect, ActionError> {
        Ok(Action::made(self, &found(f)?))
    }

    fn restored(&self, prior: &Value, now: &Value) -> Result<Verdict, ActionError> {
        let what = "the state before";
        Ok(Action::restored(self, &read(what, prior.clone())?, &read(what, now.clone())?))
    }

    fn undo<'a>(
        &'a self,
        cx: &'a Ctx,
        with: &'a Map<String, Value>,
        i: &'a Item<Value>,
        effect: &'a Effect,
    ) -> Boxed<'a, Result<(), ActionError>> {
        Box::pin(async move { Action::undo(self, cx, &params(with)?, &item(i)?, effect).await })
    }
}

impl<S: Source> DynSource for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn spec(&self) -> SourceSpec {
        SourceSpec {
            name: S::NAME,
            kind: S::KIND.name,
            title: S::TITLE,
            permissions: S::PERMISSIONS,
            params: schemars::schema_for!(S::Params),
        }
    }

    fn kind(&self) -> &'static KindSpec {
        S::KIND
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        params::<S::Params>(with).map(drop).map_err(|error| error.message)
    }

    fn list<'a>(
        &'a self,
        cx: &'a Ctx,
        with: &'a Map<String, Value>,
        wanted: &'a Wanted<'a>,
    ) -> Boxed<'a, Result<Listed, ActionError>> {
        Box::pin(async move { Source::ask(self, cx, &params(with)?, wanted).await })
    }

    fn refuse(
        &self,
        view: &View,
        with: &Map<String, Value>,
        members: &[Resource],
    ) -> Result<Option<String>, ActionError> {
        Ok(Source::refuse(self, view, &params(with)?, members))
    }
}

/// All actions and sources that a runbook can use.
#[derive(Clone)]
pub struct Table {
    /// The actions, in the order of the help.
    pub actions: Arc<[Box<dyn DynAction>]>,
    /// The sources, likewise.
    pub sources: Arc<[Box<dyn DynSource>]>,
}

impl Table {
    /// The action with this name.
    pub fn action(&self, name: &str) -> Option<&dyn DynAction> {
        self.actions.iter().map(AsRef::as_ref).find(|action| action.name() == name)
    }

    /// The source with this name.
    pub fn source(&self, name: &str) -> Option<&dyn DynSource> {
        self.sources.iter().map(AsRef::as_ref).find(|source| source.name() == name)
    }

    /// The table as data, for the checker, the schema and the help.
    pub fn catalog(&self) -> Catalog {
        Catalog {
            actions: self.actions.iter().map(|a| (a.spec().name.to_owned(), a.spec())).collect(),
            sources: self.sources.iter().map(|s| (s.spec().name.to_owned(), s.spec())).collect(),
            kinds: self.sources.iter().map(|s| (s.kind().name.to_owned(), s.kind().clone())).collect(),
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.actions.iter().map(|action| action.name())).finish()
    }
}
