//! What Batch does by itself: it places jobs, starts them, ends them, and sizes its environments by them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Batch;
use super::environments::{Environment, Resources};
use super::jobs::{Job, Status};
use crate::sim::autoscaling::AutoScaling;
use crate::sim::autoscaling::group::Group;
use crate::sim::ec2::Ec2;

/// From room to running: the image is pulled.
const STARTING_TAKES: SignedDuration = SignedDuration::from_secs(10);

impl Batch {
    /// Lets time do its work.
    pub fn settle(&mut self, scaling: &mut AutoScaling, ec2: &mut Ec2, now: Timestamp) {
        if self.environments.is_empty() {
            return;
        }
        self.jobs.values_mut().for_each(|job| job.settle(ec2, now));
        let mut waiting: Vec<&str> =
            self.jobs.values().filter(|job| job.status == Status::Runnable).map(|job| job.id.as_str()).collect();
        let priority = |id: &str| self.queues.get(&self.jobs[id].queue).map_or(0, |queue| queue.priority);
        waiting.sort_by_key(|id| (std::cmp::Reverse(priority(id)), self.jobs[*id].created));
        for id in waiting.into_iter().map(str::to_owned).collect::<Vec<_>>() {
            if let Some(place) = self.place_for(&self.jobs[&id], scaling, ec2, now)
                && let Some(job) = self.jobs.get_mut(&id)
            {
                job.place = Some(place);
                job.status = Status::Starting;
                job.started = Some(now + STARTING_TAKES);
                job.tried += 1;
            }
        }
        for environment in self.environments.values() {
            if let Some(resources) = &environment.resources
                && let Some(group) = scaling.groups.get_mut(&resources.scaling_group)
            {
                self.size(environment, resources, group, ec2, now);
            }
        }
    }

    /// The environments to which a job's queue sends it, the first first, as far as they take jobs.
    fn environments_for<'a>(&'a self, job: &Job, now: Timestamp) -> impl Iterator<Item = &'a Environment> {
        let order = self.queues.get(&job.queue).into_iter().flat_map(|queue| &queue.order);
        order.filter_map(|(_, name)| self.environments.get(name)).filter(move |environment| environment.takes_jobs(now))
    }

    /// Where there is room for a job.
    fn place_for(
        &self,
        job: &Job,
        scaling: &AutoScaling,
        ec2: &Ec2,
        now: Timestamp,
    ) -> Option<(String, Option<String>)> {
        self.environments_for(job, now).find_map(|environment| {
            let resources = environment.resources.as_ref()?;
            if !resources.is_on_ec2() {
                let room = f64::from(resources.max) - self.used(&environment.name);
                return (job.vcpus <= room).then(|| (environment.name.clone(), None));
            }
            let group = scaling.groups.get(&resources.scaling_group)?;
            let on_host = self.used_by_host(&environment.name);
            let host = group.members.keys().filter(|id| runs(ec2, id)).find(|id| {
                let used = on_host.get(id.as_str()).copied().unwrap_or_default();
                used + job.vcpus <= f64::from(resources.vcpus_of_one())
            })?;
            Some((environment.name.clone(), Some(host.clone())))
        })
    }

    fn placed<'a>(&'a self, environment: &str) -> impl Iterator<Item = &'a Job> {
        let here = move |job: &&Job| job.place.as_ref().is_some_and(|(name, _)| name == environment);
        self.jobs.values().filter(|job| job.is_placed()).filter(here).collect::<Vec<_>>().into_iter()
    }

    fn used(&self, environment: &str) -> f64 {
        self.placed(environment).map(|job| job.vcpus).sum()
    }

    fn used_by_host<'a>(&'a self, environment: &str) -> BTreeMap<&'a str, f64> {
        let mut used = BTreeMap::new();
        for job in self.placed(environment) {
            if let Some((_, Some(host))) = &job.place {
                *used.entry(host.as_str()).or_default() += job.vcpus;
            }
        }
        used
    }

    /// Grows an enabled environment to what its jobs need, and shrinks any to what is in use, but not below its minimum.
    fn size(&self, environment: &Environment, resources: &Resources, group: &mut Group, ec2: &mut Ec2, now: Timestamp) {
        let busy = self.used_by_host(&environment.name);
        let waiting = self.jobs.values().filter(|job| job.status == Status::Runnable);
        let first = |job: &&Job| self.environments_for(job, now).next().is_some_and(|e| e.name == environment.name);
        let waiting: f64 = waiting.filter(first).map(|job| job.vcpus).sum();
        let one = resources.vcpus_of_one();
        let vcpus =
            (f64::from(resources.min).max(self.used(&environment.name) + waiting)).min(f64::from(resources.max));
        let all = resources.max.div_ceil(one);
        let needed = (0..all).find(|machines| f64::from(machines * one) >= vcpus).unwrap_or(all);
        let here = u32::try_from(group.in_service()).unwrap_or(u32::MAX);
        let wished = if environment.takes_jobs(now) { needed } else { needed.min(here) };
        let idle: Vec<String> = group.members.keys().filter(|id| !busy.contains_key(id.as_str())).cloned().collect();
        let surplus = here.saturating_sub(wished) as usize;
        // A group that must not terminate keeps them, whatever its size is to be.
        let ended = if group.suspended.contains("Terminate") { 0 } else { surplus };
        let held = u32::try_from(group.in_service() - surplus.min(idle.len())).unwrap_or(u32::MAX);
        for id in idle.into_iter().take(ended) {
            group.members.remove(&id);
            ec2.terminate_instance(&id, now, "Client.UserInitiatedShutdown", "User initiated shutdown");
        }
        group.desired = wished.max(held);
    }
}

fn runs(ec2: &Ec2, id: &str) -> bool {
    ec2.instances.get(id).is_some_and(|instance| instance.state.name() == "running")
}

impl Job {
    /// Ends it where it is due to end, and tries it again where its machine was lost.
    fn settle(&mut self, ec2: &Ec2, now: Timestamp) {
        if !self.is_placed() {
            return;
        }
        if let Some((reason, at)) = self.ending.clone().filter(|(_, at)| *at <= now) {
            self.end(&reason, at);
            return;
        }
        let host = self.place.as_ref().and_then(|(_, host)| host.clone());
        if let Some(host) = host.filter(|host| !runs(ec2, host)) {
            let reason = format!("Host EC2 (instance {host}) terminated.");
            if self.tried < self.attempts && self.ending.is_none() {
                self.status = Status::Runnable;
                self.place = None;
                self.started = None;
                self.reason = reason;
            } else {
                self.end(&reason, now);
            }
            return;
        }
        let started = self.started.filter(|started| *started <= now);
        if let Some(started) = started {
            self.status = Status::Running;
            if let Some(over) = self.timeout.map(|timeout| started + timeout).filter(|over| *over <= now) {
                self.end("Job attempt duration exceeded timeout", over);
            }
        }
    }
}
