//! `ecs.stop`

use std::collections::BTreeSet;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    DesiredStatus, PlacementConstraint, PlacementConstraintType, SchedulingStrategy, Service, Task,
};
use futures::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Place;
use crate::actions::field::time;
use crate::engine::action::{Action, Ctx, Decision, Found, Item, Proposal, View};
use crate::model::{ActionError, Effect, ErrorKind, Resource, ResourceId, Tier, Undo, Verdict};

/// What keeps a daemon off every container instance: an attribute that none has.
const NOWHERE: &str = "attribute:quell.stopped exists";

/// Stops services and tasks.
pub struct Stop;

/// The action has no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// A service or a task before it is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prior {
    /// A service.
    Service(ServicePrior),
    /// A task.
    Task(TaskPrior),
}

/// A service before it is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServicePrior {
    /// When it was created, which tells it from a later one of the same name.
    pub created: String,
    /// `ACTIVE`, or `DRAINING` once it was deleted.
    pub status: String,
    /// How many tasks it wants.
    pub desired: i32,
    /// How many tasks run.
    pub running: i32,
    /// Its placement constraints, if it is a daemon: type and expression.
    pub daemon: Option<Vec<(String, Option<String>)>>,
    /// Its tasks that are meant to run.
    pub tasks: BTreeSet<String>,
}

impl ServicePrior {
    /// Whether it starts tasks.
    fn starts(&self) -> bool {
        self.status == "ACTIVE"
            && match &self.daemon {
                None => self.desired > 0,
                Some(constraints) => !constraints.iter().any(|(_, expression)| expression.as_deref() == Some(NOWHERE)),
            }
    }

    fn described(&self) -> String {
        match &self.daemon {
            Some(_) if self.starts() => format!("a task on every container instance, {} now", self.tasks.len()),
            None if self.starts() => format!("{} tasks wanted", self.desired),
            _ => format!("{} tasks left", self.tasks.len()),
        }
    }
}

/// A task before it is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskPrior {
    /// `RUNNING`, …
    pub state: String,
    /// Whether it is meant to run.
    pub wanted: bool,
    /// `family:revision`.
    pub definition: String,
    /// The service that would start another in its place.
    pub started_again_by: Option<String>,
}

impl Action for Stop {
    type Params = Params;
    type Prior = Prior;

    const NAME: &'static str = "ecs.stop";
    const TIER: Tier = Tier::Disruptive;
    const KINDS: &'static [&'static str] = &["ecs.service", "ecs.task"];
    const TITLE: &'static str = "Stop ECS services and tasks";
    const DESCRIPTION: &'static str = "A service first: its desired count becomes 0, and only then its tasks are stopped one \
        by one, those too that are protected from scaling in. A service that still wants tasks starts another for each that is \
        stopped. A daemon service has no count: it gets a placement constraint that no container instance satisfies, and ECS \
        ends its tasks. Tasks that stand alone are stopped. A task of a service that still wants it is left alone, and the \
        plan names the service.\n\n\
        Services are driven by a service-linked role: no service control policy holds them back. A scaling policy of \
        Application Auto Scaling may raise the count again: the sweeps see that. Container instances are EC2 instances, and \
        go on: stop them by `ec2.stop-instances`. Deleted services have no way back, so nothing is deleted.\n\n\
        AWS pages: *UpdateService*, *StopTask*, *Task scale-in protection*, *Use strategies to define task placement* \
        (daemon). Fact B12.";
    const UNDO: &'static str = "Sets the desired count of a service, or the constraints of a daemon, back to what they were; it \
        starts new tasks. Memory and storage of the old ones are lost. A task that stood alone does not come back: whoever \
        needs it runs its task definition again.";
    const PERMISSIONS: &'static [&'static str] =
        &["ecs:DescribeServices", "ecs:DescribeTasks", "ecs:ListTasks", "ecs:StopTask", "ecs:UpdateService"];
    const UNDO_PERMISSIONS: &'static [&'static str] = &[];
    const ONLY_ON: &'static [(&'static str, &'static [&'static str])] =
        &[("ecs.service", &["ecs:ListTasks", "ecs:UpdateService"]), ("ecs.task", &["ecs:DescribeTasks"])];
    const EXAMPLE: &'static str = "{ id: containers, uses: ecs.stop, on: services }";

    async fn discover(&self, cx: &Ctx, _: &Params, members: &[Resource]) -> Result<Vec<Found<Prior>>, ActionError> {
        let client = super::client(cx);
        let ids = || members.iter().map(|member| &member.id);
        let (services, tasks) = (Place::by_cluster(ids(), "service"), Place::by_cluster(ids(), "task"));
        let services = services
            .iter()
            .map(async |(cluster, names)| super::unless_gone(of_services(&client, cluster, names).await));
        let tasks = tasks.iter().map(async |(cluster, ids)| super::unless_gone(of_tasks(&client, cluster, ids).await));
        let (services, tasks) = (try_join_all(services).await?, try_join_all(tasks).await?);
        Ok(services.into_iter().chain(tasks).flatten().collect())
    }

    fn plan(&self, _: &View, _: &Params, found: &Found<Prior>) -> Decision {
        let name = &found.resource;
        match &found.prior {
            Prior::Service(service) if !service.starts() && service.tasks.is_empty() => Decision::Already,
            Prior::Service(service) => {
                let undo = match service.daemon {
                    _ if !service.starts() => Undo::impossible("the tasks that are left: their service starts none"),
                    None => Undo::by(format!("let it want {} tasks again", service.desired)),
                    Some(_) => Undo::by("give it its placement constraints back"),
                };
                let proposal =
                    Proposal::new(format!("stop the ECS service {name}"), service.described(), "no tasks", lossy(undo));
                Decision::Change(match service.daemon {
                    None => {
                        proposal.noting("a scaling policy of the service, if it has one, could raise its count again")
                    }
                    Some(_) => {
                        proposal.noting("a daemon has no count: a placement constraint keeps it off every instance")
                    }
                })
            }
            Prior::Task(task) if !task.wanted => Decision::Already,
            Prior::Task(TaskPrior { started_again_by: Some(service), .. }) => {
                Decision::Skip(format!("its service {service} would start another at once: stop the service"))
            }
            Prior::Task(task) => {
                let undo = Undo::impossible("the task: running its task definition again starts another");
                let summary = format!("stop the ECS task {name} ({})", task.definition);
                Decision::Change(Proposal::new(summary, &task.state, "STOPPED", lossy(undo)))
            }
        }
    }

    /// Counts and tasks come and go; another service of the same name was not approved.
    fn drift(&self, approved: &Prior, now: &Prior) -> Option<String> {
        match (approved, now) {
            (Prior::Service(approved), Prior::Service(now)) if approved.created == now.created => None,
            (Prior::Task(_), Prior::Task(_)) => None,
            _ => Some("it is another service of the same name".to_owned()),
        }
    }

    async fn apply(&self, cx: &Ctx, _: &Params, items: &[Item<Prior>]) -> Result<Vec<Effect>, ActionError> {
        let client = super::client(cx);
        let reason = format!("quell {}", cx.view.case);
        for Item { resource, prior, .. } in items {
            let Some(place) = Place::of(resource) else { continue };
            match prior {
                Prior::Service(service) => stop_service(&client, &place, service, &reason).await?,
                Prior::Task(_) => stop_task(&client, place.cluster, place.name, &reason).await?,
            }
        }
        Ok(vec![Value::Null; items.len()])
    }

    fn verify(&self, _: &View, _: &Params, found: &Found<Prior>) -> Verdict {
        match &found.prior {
            Prior::Service(service) if service.starts() => Verdict::Unproven { why: service.described() },
            Prior::Service(service) if service.running > 0 || !service.tasks.is_empty() => {
                let count = service.tasks.len().max(usize::try_from(service.running).unwrap_or_default());
                Verdict::Pending { why: format!("{count} of its tasks are still stopping") }
            }
            Prior::Task(task) if task.wanted => Verdict::Unproven { why: format!("it is {}", task.state) },
            Prior::Task(task) if task.state != "STOPPED" => Verdict::Pending { why: format!("it is {}", task.state) },
            Prior::Service(_) | Prior::Task(_) => Verdict::Proven,
        }
    }

    fn restored(&self, prior: &Prior, now: &Prior) -> Verdict {
        match (prior, now) {
            (Prior::Service(then), Prior::Service(now)) if !then.starts() || now.starts() => Verdict::Proven,
            (Prior::Service(_), Prior::Service(_)) => Verdict::Unproven { why: "it still wants no tasks".to_owned() },
            _ => Verdict::Unproven { why: "a task that was stopped does not come back".to_owned() },
        }
    }

    async fn undo(&self, cx: &Ctx, _: &Params, item: &Item<Prior>, _: &Effect) -> Result<(), ActionError> {
        let client = super::client(cx);
        let (Some(place), Prior::Service(then)) = (Place::of(&item.resource), &item.prior) else {
            let message =
                format!("{} is stopped for good: run its task definition again if it is needed", item.resource);
            return Err(ActionError::new(ErrorKind::WrongState, message));
        };
        let now = super::unless_gone(of_services(&client, place.cluster, &[place.name.to_owned()]).await)?;
        let now = now.iter().find_map(|found| match &found.prior {
            Prior::Service(now) if now.created == then.created && now.status == "ACTIVE" => Some(now),
            _ => None,
        });
        // What wants tasks by now was set by somebody else, and stays.
        if now.is_none_or(ServicePrior::starts) || !then.starts() {
            return Ok(());
        }
        let request = client.update_service().cluster(place.cluster).service(place.name);
        match &then.daemon {
            None => request.desired_count(then.desired).send().await?,
            Some(constraints) => {
                let constraints = constraints.iter().map(|(kind, expression)| {
                    let constraint = PlacementConstraint::builder().set_expression(expression.clone());
                    constraint.r#type(PlacementConstraintType::from(kind.as_str())).build()
                });
                request.set_placement_constraints(Some(constraints.collect())).send().await?
            }
        };
        Ok(())
    }
}

fn lossy(undo: Undo) -> Undo {
    undo.losing("the memory and the storage of the tasks")
}

async fn of_services(client: &Client, cluster: &str, names: &[String]) -> Result<Vec<Found<Prior>>, ActionError> {
    let services = super::described_services(client, cluster, names).await?;
    let tasks = services.iter().map(|service| super::running(client, cluster, service.service_name()));
    let tasks = try_join_all(tasks).await?;
    Ok(services.iter().zip(tasks).filter_map(|(service, tasks)| service_found(service, tasks)).collect())
}

fn service_found(service: &Service, tasks: Vec<String>) -> Option<Found<Prior>> {
    let resource = ResourceId::new(super::id("service", service.cluster_arn()?, service.service_name()?)).ok()?;
    let constraint = |constraint: &PlacementConstraint| {
        let kind = constraint.r#type().map_or("", |kind| kind.as_str()).to_owned();
        (kind, constraint.expression().map(str::to_owned))
    };
    let is_daemon = service.scheduling_strategy() == Some(&SchedulingStrategy::Daemon);
    let prior = ServicePrior {
        created: time(service.created_at()),
        status: service.status().unwrap_or_default().to_owned(),
        desired: service.desired_count(),
        running: service.running_count(),
        daemon: is_daemon.then(|| service.placement_constraints().iter().map(constraint).collect()),
        tasks: tasks.into_iter().collect(),
    };
    Some(Found { member: resource.clone(), resource, prior: Prior::Service(prior) })
}

async fn of_tasks(client: &Client, cluster: &str, ids: &[String]) -> Result<Vec<Found<Prior>>, ActionError> {
    let tasks = super::described_tasks(client, cluster, ids).await?;
    let services: BTreeSet<String> = tasks.iter().filter_map(super::service_of).map(str::to_owned).collect();
    let services: Vec<String> = services.into_iter().collect();
    let services = super::described_services(client, cluster, &services).await?;
    let wants = |name: &str| {
        let service = services.iter().find(|service| service.service_name() == Some(name));
        let service = service.and_then(|service| service_found(service, Vec::new()));
        service.is_some_and(|found| matches!(found.prior, Prior::Service(service) if service.starts()))
    };
    Ok(tasks.iter().filter_map(|task| task_found(task, &wants)).collect())
}

fn task_found(task: &Task, wants: &impl Fn(&str) -> bool) -> Option<Found<Prior>> {
    let resource = ResourceId::new(super::id("task", task.cluster_arn()?, super::short(task.task_arn()?))).ok()?;
    let prior = TaskPrior {
        state: task.last_status().unwrap_or_default().to_owned(),
        wanted: task.desired_status() != Some(DesiredStatus::Stopped.as_str()),
        definition: super::short(task.task_definition_arn().unwrap_or_default()).to_owned(),
        started_again_by: super::service_of(task).filter(|name| wants(name)).map(str::to_owned),
    };
    Some(Found { member: resource.clone(), resource, prior: Prior::Task(prior) })
}

/// First what starts tasks, then the tasks, and not only those that were seen before.
async fn stop_service(
    client: &Client,
    place: &Place<'_>,
    service: &ServicePrior,
    reason: &str,
) -> Result<(), ActionError> {
    if service.starts() {
        let request = client.update_service().cluster(place.cluster).service(place.name);
        match service.daemon {
            None => request.desired_count(0).send().await?,
            Some(_) => {
                let nowhere = PlacementConstraint::builder().r#type(PlacementConstraintType::MemberOf);
                request.placement_constraints(nowhere.expression(NOWHERE).build()).send().await?
            }
        };
    }
    let tasks = super::unless_gone(super::running(client, place.cluster, Some(place.name)).await)?;
    try_join_all(tasks.iter().map(|task| stop_task(client, place.cluster, super::short(task), reason))).await?;
    Ok(())
}

/// Stops a task. AWS has no code of its own for one that it has forgotten.
async fn stop_task(client: &Client, cluster: &str, id: &str, reason: &str) -> Result<(), ActionError> {
    let answer = client.stop_task().cluster(cluster).task(id).reason(reason).send().await;
    let Err(error) = answer.map_err(ActionError::from) else { return Ok(()) };
    if error.is("InvalidParameterException")
        && super::described_tasks(client, cluster, &[id.to_owned()]).await?.is_empty()
    {
        return Ok(());
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::tests::view;

    fn service(desired: i32, daemon: Option<Vec<(String, Option<String>)>>, tasks: &[&str]) -> Found<Prior> {
        let id = ResourceId::new("arn:aws:ecs:eu-west-1:111122223333:service/c/s").unwrap();
        let prior = ServicePrior {
            created: "2026-03-03T15:00:00Z".into(),
            status: "ACTIVE".into(),
            desired,
            running: desired,
            daemon,
            tasks: tasks.iter().map(|task| (*task).to_owned()).collect(),
        };
        Found { member: id.clone(), resource: id, prior: Prior::Service(prior) }
    }

    fn plan(found: &Found<Prior>) -> Decision {
        Stop.plan(&view(), &Params {}, found)
    }

    #[test]
    fn a_service_is_stopped_while_it_wants_tasks_or_has_some() {
        let Decision::Change(proposal) = plan(&service(3, None, &["t"])) else { panic!("no change") };
        assert_eq!((proposal.before.as_str(), proposal.undo.how.is_some()), ("3 tasks wanted", true));
        let Decision::Change(leftover) = plan(&service(0, None, &["t"])) else { panic!("no change") };
        assert_eq!(leftover.undo.how, None, "stopped tasks do not come back");
        assert_eq!(plan(&service(0, None, &[])), Decision::Already);
    }

    #[test]
    fn a_daemon_is_stopped_by_where_it_may_be() {
        assert!(matches!(plan(&service(0, Some(vec![]), &[])), Decision::Change(_)), "it starts one on every newcomer");
        let nowhere = vec![("memberOf".to_owned(), Some(NOWHERE.to_owned()))];
        assert_eq!(plan(&service(0, Some(nowhere), &[])), Decision::Already);
    }

    #[test]
    fn a_task_is_left_to_its_service() {
        let id = ResourceId::new("arn:aws:ecs:eu-west-1:111122223333:task/c/t").unwrap();
        let task = |started_again_by: Option<&str>| {
            let prior = TaskPrior {
                state: "RUNNING".into(),
                wanted: true,
                definition: "miner:1".into(),
                started_again_by: started_again_by.map(str::to_owned),
            };
            plan(&Found { member: id.clone(), resource: id.clone(), prior: Prior::Task(prior) })
        };
        assert!(matches!(task(None), Decision::Change(proposal) if proposal.undo.how.is_none()));
        assert!(matches!(task(Some("web")), Decision::Skip(why) if why.contains("web")));
    }

    #[test]
    fn more_tasks_void_nothing_and_a_namesake_does() {
        let (few, many) = (service(3, None, &["a"]).prior, service(9, None, &["a", "b"]).prior);
        assert_eq!(Stop.drift(&few, &many), None);
        let Prior::Service(mut namesake) = many else { panic!("a service") };
        namesake.created = "2026-03-03T16:00:00Z".into();
        assert!(Stop.drift(&few, &Prior::Service(namesake)).is_some());
    }
}
