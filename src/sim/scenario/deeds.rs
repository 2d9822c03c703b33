//! What an intruder did on the way to the beginning of a scenario, call by call, and who fights on from there.

use std::collections::BTreeSet;
use std::mem;

use http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Machine;
use super::build::{Site, account_regions};
use super::people::{with_account_numbers, words};
use super::story::{AdversaryStory, DeedStory, Place};
use crate::model::{AccountId, Region};
use crate::sim::State;
use crate::sim::adversary::{Deed, Intruder};
use crate::sim::authenticate::sign::AccessKey;
use crate::sim::call::{Call, RawRequest};
use crate::sim::faults::Struck;
use crate::sim::wire::params::{Form, Params};
use crate::sim::wire::protocol::Protocol;
use crate::sim::world::World;

/// How often the world goes on between the deeds and the beginning: groups and fleets launch what they were asked for.
const STEP: SignedDuration = SignedDuration::from_secs(30);

/// Makes the calls of a story, in the order of their times, and lets their consequences happen until it begins.
pub(super) fn carry_out(site: &mut Site<'_>) -> Result<(), String> {
    let mut deeds: Vec<&DeedStory> = site.story.deeds.iter().collect();
    deeds.sort_by_key(|deed| deed.at.on(site.day));
    let Some(first) = deeds.first() else { return Ok(()) };
    let mut now = first.at.on(site.day);
    let mut deeds = deeds.into_iter().peekable();
    while now < site.day {
        while let Some(deed) = deeds.next_if(|deed| deed.at.on(site.day) <= now) {
            for region in regions(site, deed)? {
                call(site, deed, &region, now).map_err(|cause| format!("deed {} at {now}: {cause}", deed.call))?;
            }
        }
        now += STEP;
        site.world.settle(now);
    }
    Ok(())
}

/// Where a deed was done.
fn regions(site: &Site<'_>, story: &DeedStory) -> Result<Vec<Region>, String> {
    match &story.region {
        Place::In(name) => Ok(vec![Region::new(name).map_err(|error| error.to_string())?]),
        Place::Enabled => Ok(account_regions(&site.world, &site.account(&story.by.account)?.id)),
    }
}

/// What a deed sends to S3, whose parameters stand in the path, in headers and in a document.
fn to_s3(with: &Value) -> Result<RawRequest, String> {
    let text = |name: &str| with[name].as_str().unwrap_or_default().to_owned();
    let mut headers = HeaderMap::new();
    for (name, value) in with["Headers"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().parse().map_err(|_| format!("`{value}` is no header"))?;
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?, value);
    }
    Ok(RawRequest { path: format!("/{}", text("Bucket")), headers, body: text("Body").into(), ..RawRequest::default() })
}

fn call(site: &mut Site<'_>, story: &DeedStory, region: &Region, now: Timestamp) -> Result<(), String> {
    let account = site.account(&story.by.account)?.id.clone();
    let Deed { region, service, operation, with } = deed(site, story, region)?;
    let http = if service == "s3" { to_s3(&with)? } else { RawRequest::default() };
    let who = site.world.account(&account).iam.principal(&site.world.partition, &account, Some(&story.by.user));
    let call = Call {
        now,
        account,
        region,
        params: match Protocol::of(&service) {
            Some(Protocol::Json | Protocol::RestJson) => Params::Json(with),
            _ => Params::Form(Form::of(&with)),
        },
        service,
        operation,
        principal: who.ok_or_else(|| format!("there is no user `{}`", story.by.user))?,
        access_key: site.credentials(&story.by)?.access_key_id.to_string(),
        request_id: site.world.uuid(),
        http,
    };
    let world = mem::replace(&mut site.world, World::new(0));
    let mut state = State::of(world);
    let reply = state.carry_out(&call, &Struck::default());
    site.world = state.world;
    reply.map(drop).map_err(words)
}

/// A deed with its parameters filled in.
fn deed(site: &Site<'_>, story: &DeedStory, region: &Region) -> Result<Deed, String> {
    let account = &site.account(&story.by.account)?.id;
    let (service, operation) =
        story.call.split_once(':').ok_or_else(|| format!("`{}` is no call (ec2:RunInstances)", story.call))?;
    let mut with = with_account_numbers(site, &story.with.to_string())?;
    for image in site.world.region(account, region).ec2.images.values() {
        let names = site.story.accounts.values().flat_map(|account| &account.images);
        for (name, _) in names.filter(|(_, known)| known.name == image.name) {
            with = with.replace(&format!("${{image.{name}}}"), &image.id);
        }
    }
    if let Some(subnet) = site.world.region(account, region).ec2.subnets.values().find(|s| s.default_for_az) {
        with = with.replace("${subnet}", &subnet.id);
    }
    if with.contains("${") {
        return Err(format!("something in {with} is not in {region}"));
    }
    let with: Value = serde_json::from_str(&with).map_err(|error| error.to_string())?;
    Ok(Deed { region: region.clone(), service: service.to_owned(), operation: operation.to_owned(), with })
}

/// The machines that came from deeds: those of their accounts that no group of the story has.
pub(super) fn machines(site: &Site<'_>, known: &BTreeSet<&str>) -> Result<Vec<Machine>, String> {
    let accounts = site.story.deeds.iter().map(|deed| Ok(site.account(&deed.by.account)?.id.clone()));
    let accounts = accounts.collect::<Result<BTreeSet<AccountId>, String>>()?;
    let mut machines = Vec::new();
    for account in accounts {
        for (region, state) in &site.world.account(&account).regions {
            let ids = state.ec2.instances.keys().filter(|id| !known.contains(id.as_str()));
            machines.extend(ids.map(|id| Machine { account: account.clone(), region: region.clone(), id: id.clone() }));
        }
    }
    Ok(machines)
}

/// The intruder of a story, who holds its keys and knows its deeds and its machines.
pub(super) fn intruder(site: &Site<'_>, story: &AdversaryStory, machines: &[Machine]) -> Result<Intruder, String> {
    let facts = &site.story.facts;
    let account = site.account(&facts.breached_account)?.id.clone();
    let key = |held| {
        let made = site.credentials(held)?;
        let key = AccessKey { id: made.access_key_id.to_string(), secret: made.secret_access_key, token: None };
        Ok((site.account(&held.account)?.id.clone(), held.user.clone(), key))
    };
    let of_account = machines.iter().filter(|machine| machine.account == account);
    let place = |machine: &Machine| -> (Region, String) { (machine.region.clone(), machine.id.clone()) };
    let mut deeds = Vec::new();
    for story in &site.story.deeds {
        for region in regions(site, story)? {
            deeds.push(deed(site, story, &region)?);
        }
    }
    Ok(Intruder {
        begins: story.begins,
        every: story.every.std(),
        keys: story.keys.iter().map(key).collect::<Result<_, String>>()?,
        users: vec![facts.compromised_user.clone()],
        roles: story.roles.iter().map(|role| with_account_numbers(site, role)).collect::<Result<_, String>>()?,
        machines: of_account.map(place).collect(),
        deeds,
        account,
    })
}
