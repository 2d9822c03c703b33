//! What listens at the wire and at the journal: after each event, and after each answer to a request that writes, the process
//! could have died.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use jiff::Timestamp;

use crate::engine::ports::Reporter;
use crate::model::{Event, EventKind};
use crate::sim::world::World;
use crate::sim::{Sim, log};

/// Where a process could have died.
#[derive(Debug)]
pub struct Cut {
    /// What had just happened.
    pub after: String,
    /// What its journal holds.
    pub events: Vec<Event>,
    /// The world, and its time.
    pub world: (World, Timestamp),
    /// How many requests had written by then.
    writes: usize,
}

impl Cut {
    /// What makes a difference to the way back: what the journal knows of changes, and what was sent.
    pub fn footing(&self) -> (usize, usize) {
        let told = |event: &&Event| {
            matches!(
                event.kind,
                EventKind::ChangeStarted { .. } | EventKind::ChangeEnded { .. } | EventKind::RunStarted { .. }
            )
        };
        (self.events.iter().filter(told).count(), self.writes)
    }
}

/// A listener. Copies are the same one.
#[derive(Debug, Clone, Default)]
pub struct Tap(Arc<Mutex<Tapped>>);

#[derive(Debug, Default)]
struct Tapped {
    watching: bool,
    events: Vec<Event>,
    writes: usize,
    cuts: Vec<Cut>,
}

impl Tap {
    /// Notes from now on where the process could have died.
    pub fn watch(&self) {
        self.tapped().watching = true;
    }

    /// Everywhere where the process could have died so far.
    pub fn cuts(&self) -> Vec<Cut> {
        std::mem::take(&mut self.tapped().cuts)
    }

    /// The way to a simulated AWS, listened to.
    pub fn before(&self, sim: &Sim) -> SharedHttpClient {
        SharedHttpClient::new(Door { tap: self.clone(), sim: sim.clone(), inner: sim.http_client() })
    }

    /// What listens to the events of a run.
    pub fn reporter(&self, sim: &Sim) -> impl Reporter {
        self.tapped().events.clear();
        Reported { tap: self.clone(), sim: sim.clone() }
    }

    fn tapped(&self) -> MutexGuard<'_, Tapped> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, sim: &Sim, after: impl FnOnce() -> String) {
        let mut tapped = self.tapped();
        if tapped.watching && !tapped.events.is_empty() {
            let (events, writes) = (tapped.events.clone(), tapped.writes);
            let cut = Cut { after: after(), events, world: (sim.world(), sim.now()), writes };
            tapped.cuts.push(cut);
        }
    }
}

struct Reported {
    tap: Tap,
    sim: Sim,
}

impl Reporter for Reported {
    fn event(&mut self, event: &Event) {
        self.tap.tapped().events.push(event.clone());
        self.tap.note(&self.sim, || {
            let told = serde_json::to_value(event).unwrap_or_default();
            format!("event {} ({})", event.seq, told["event"].as_str().unwrap_or_default())
        });
    }
}

#[derive(Clone)]
struct Door {
    tap: Tap,
    sim: Sim,
    inner: SharedHttpClient,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door")
    }
}

impl HttpClient for Door {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connection { door: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Connection {
    door: Door,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (door, inner) = (self.door.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            let answer = inner.call(request).await;
            let last = door.sim.last_request();
            if let Some(last) = last.filter(|last| !log::is_read_only(&last.operation)) {
                door.tap.tapped().writes += 1;
                door.tap.note(&door.sim, || format!("{}:{}", last.service, last.operation));
            }
            answer
        })
    }
}
