//! A story made into a world: accounts, the organisation, images, machines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::people::{self, Keys};
use super::story::{AccountStory, ImageStory, KeyOf, MachinesStory, OneOf, Protection, Story};
use super::{Built, Credentials, Facts, Machine, deeds};
use crate::model::{AccountId, Region};
use crate::sim::cloudtrail::{Event, Identity, USUAL_ADDRESS};
use crate::sim::ec2::Ec2;
use crate::sim::ec2::ids::Ids;
use crate::sim::ec2::images::Image;
use crate::sim::ec2::launch::LaunchSpec;
use crate::sim::ec2::run::BlockDeviceMapping;
use crate::sim::ec2::volumes::EbsBlock;
use crate::sim::iam::KeyUse;
use crate::sim::world::{OptIn, RegionState, World, regions};

/// The group of machines that are the intruder's.
const ROGUE: &str = "rogue";

/// What the parts of a scenario are built with.
pub(super) struct Site<'a> {
    pub story: &'a Story,
    pub world: World,
    /// The day on which the story is told: the time at which it begins.
    pub day: Timestamp,
    pub keys: Keys,
}

/// What the event history is to say of a call.
pub(super) struct Happened<'a> {
    pub region: &'a Region,
    pub at: Timestamp,
    pub service: &'a str,
    pub operation: &'a str,
    pub address: Option<IpAddr>,
}

/// Builds a story that begins at `day`.
pub(super) fn build(story: &Story, seed: u64, day: Timestamp) -> Result<Built, String> {
    let mut site = Site { story, world: World::new(seed), day, keys: Keys::default() };
    site.world.settings = story.settings.settings();
    for (name, account) in &story.accounts {
        site.open_account(name, account)?;
    }
    people::found_organization(&mut site)?;
    for (name, account) in &story.accounts {
        people::move_in(&mut site, name, account)?;
    }
    people::record_events(&mut site)?;
    let mut machines: BTreeMap<String, Vec<Machine>> = BTreeMap::new();
    for account in story.accounts.values() {
        site.copy_images(account)?;
        for group in &account.machines {
            machines.entry(group.group.clone()).or_default().extend(site.launch(account, group)?);
        }
    }
    deeds::carry_out(&mut site)?;
    site.world.settle(day);
    let known = machines.values().flatten().map(|machine| machine.id.as_str()).collect();
    let launched = deeds::machines(&site, &known)?;
    machines.entry(ROGUE.to_owned()).or_default().extend(launched);
    let adversary =
        story.adversary.as_ref().map(|story| deeds::intruder(&site, story, &machines[ROGUE])).transpose()?;
    let credentials = story.credentials.iter().map(|(role, key)| Ok((role.clone(), site.credentials(key)?)));
    let facts = &story.facts;
    Ok(Built {
        credentials: credentials.collect::<Result<_, String>>()?,
        accounts: story.accounts.iter().map(|(name, account)| (name.clone(), account.id.clone())).collect(),
        facts: Facts {
            leaked_key: site.credentials(&facts.leaked_key)?.access_key_id,
            since: facts.since.on(day),
            compromised_user: facts.compromised_user.clone(),
            framed_user: facts.framed_user.clone(),
            parts: facts.parts(),
            breached_account: site.account(&facts.breached_account)?.id.clone(),
            accounts: facts.accounts.clone(),
            machines,
        },
        adversary,
        begins: day,
        world: site.world,
    })
}

impl Site<'_> {
    /// An account of the story, by its name.
    pub fn account(&self, name: &str) -> Result<&AccountStory, String> {
        self.story.accounts.get(name).ok_or_else(|| format!("there is no account `{name}`"))
    }

    /// The credentials of a key of the story.
    pub fn credentials(&self, key: &KeyOf) -> Result<Credentials, String> {
        let KeyOf { account, user, key: name } = key;
        self.keys.get(key).cloned().ok_or_else(|| format!("there is no key `{account}/{user}/{name}`"))
    }

    fn open_account(&mut self, name: &str, account: &AccountStory) -> Result<(), String> {
        let wanted = |region: &Region| self.story.regions.is_empty() || self.story.regions.contains(region);
        let known: BTreeMap<Region, OptIn> = regions().filter(|(region, _)| wanted(region)).collect();
        let mut states: BTreeMap<Region, RegionState> =
            known.into_iter().map(|(region, opt_in)| (region, RegionState::new(opt_in))).collect();
        for region in &account.opted_in {
            let state =
                states.get_mut(region).ok_or_else(|| format!("account `{name}`: there is no region {region}"))?;
            state.opt_in = OptIn::OptedIn;
        }
        for (region, state) in states.iter_mut().filter(|(_, state)| state.opt_in.is_enabled()) {
            state.ec2 = Ec2::new(&account.id, region);
            state.ec2.settings = self.world.settings.clone();
            state.ec2.ids = Ids::seeded(self.world.rng.number());
        }
        self.world.add_account(account.id.clone(), name).regions = states;
        Ok(())
    }

    /// Copies every image to the regions in which machines are launched from it.
    fn copy_images(&mut self, account: &AccountStory) -> Result<(), String> {
        for (name, image) in &account.images {
            let groups = account.machines.iter().filter(|group| group.image == *name);
            let regions: BTreeSet<Region> = groups.flat_map(|group| self.regions_of(account, group)).collect();
            for (nth, region) in (0..).zip(&regions) {
                self.copy_image(
                    account,
                    image,
                    region,
                    image.copied.on(self.day) + SignedDuration::from_secs(30 * nth),
                )?;
            }
        }
        Ok(())
    }

    fn copy_image(
        &mut self,
        account: &AccountStory,
        image: &ImageStory,
        region: &Region,
        at: Timestamp,
    ) -> Result<(), String> {
        let made = match image.platform.as_deref() {
            None => Image::linux(&image.name, at, image.gib),
            Some("windows") => Image::windows(&image.name, at, image.gib),
            Some(other) => return Err(format!("image `{}`: `{other}` is no platform but windows", image.name)),
        };
        let ec2 = &mut self.world.region_mut(&account.id, region).ec2;
        let id = ec2.register_image(made);
        if let Some(by) = &image.by {
            let request = json!({ "name": image.name, "sourceRegion": "us-east-1" });
            let response = json!({ "imageId": id });
            let resources = vec![("AWS::EC2::Image".to_owned(), id)];
            let happened = Happened { region, at, service: "ec2", operation: "CopyImage", address: image.address };
            self.record(by, happened, (request, response), resources)?;
        }
        Ok(())
    }

    fn regions_of(&self, account: &AccountStory, group: &MachinesStory) -> Vec<Region> {
        if group.regions.is_empty() { account_regions(&self.world, &account.id) } else { group.regions.clone() }
    }

    /// Launches a group: region by region, evenly over its time.
    fn launch(&mut self, account: &AccountStory, group: &MachinesStory) -> Result<Vec<Machine>, String> {
        let regions = self.regions_of(account, group);
        let (from, until) = (group.from.on(self.day), group.until.on(self.day));
        let mut places: Vec<&Region> = regions.iter().cycle().take(group.count).collect();
        places.sort();
        let mut machines = Vec::with_capacity(group.count);
        let (last, seconds) =
            (i64::try_from(places.len()).unwrap_or(i64::MAX) - 1, until.duration_since(from).as_secs());
        for (number, region) in (0..).zip(places) {
            let launched = from + SignedDuration::from_secs(seconds * number / last.max(1));
            let id = self.launch_one(account, group, machines.len() + 1, region, launched)?;
            machines.push(Machine { account: account.id.clone(), region: region.clone(), id });
        }
        Ok(machines)
    }
}

impl Site<'_> {
    fn launch_one(
        &mut self,
        account: &AccountStory,
        group: &MachinesStory,
        number: usize,
        region: &Region,
        launched: Timestamp,
    ) -> Result<String, String> {
        let image =
            &account.images.get(&group.image).ok_or_else(|| format!("there is no image `{}`", group.image))?.name;
        let mut tags = BTreeMap::new();
        for (key, value) in &group.tags {
            tags.insert(key.clone(), self.pick(value).replace("{n}", &number.to_string()));
        }
        let instance_type = group.types[self.world.rng.below(group.types.len())].clone();
        let second = self.world.rng.unit() < group.second_volume;
        let ec2 = &mut self.world.region_mut(&account.id, region).ec2;
        let image_id = ec2.images.values().find(|known| known.name == *image).map(|known| known.id.clone());
        let spec = LaunchSpec {
            launched,
            image_id: image_id.unwrap_or_default(),
            instance_type: instance_type.clone(),
            block_devices: if second { vec![second_volume(group.second_gib)] } else { Vec::new() },
            volume_tags: tags.clone(),
            tags,
            disable_api_stop: group.protect.contains(&Protection::Stop),
            disable_api_termination: group.protect.contains(&Protection::Termination),
            ..LaunchSpec::default()
        };
        let id = ec2.launch(&spec).map_err(people::words)?;
        if let Some(by) = &group.by {
            let request =
                json!({ "instanceType": instance_type, "imageId": spec.image_id, "minCount": 1, "maxCount": 1 });
            let response = json!({ "instancesSet": { "items": [{ "instanceId": id }] } });
            let resources = vec![("AWS::EC2::Instance".to_owned(), id.clone())];
            let (at, address) = (launched, group.address);
            let happened = Happened { region, at, service: "ec2", operation: "RunInstances", address };
            self.record(by, happened, (request, response), resources)?;
        }
        Ok(id)
    }

    fn pick(&mut self, value: &OneOf) -> String {
        match value {
            OneOf::One(text) => text.clone(),
            OneOf::Several(texts) => texts[self.world.rng.below(texts.len())].clone(),
        }
    }

    /// Writes to the event history what the holder of a key did, and that the key was used.
    pub fn record(
        &mut self,
        by: &KeyOf,
        happened: Happened<'_>,
        answered: (Value, Value),
        resources: Vec<(String, String)>,
    ) -> Result<(), String> {
        let account = self.account(&by.account)?.id.clone();
        let key = self.credentials(by)?.access_key_id;
        let Happened { region, at, service, .. } = happened;
        if let Some(key) = self.world.account_mut(&account).iam.access_keys.get_mut(&key)
            && key.last_used.as_ref().is_none_or(|used| used.at < at)
        {
            key.last_used = Some(KeyUse { at, service: service.to_owned(), region: region.to_string() });
        }
        self.record_user((&account, &by.user, key.as_str()), happened, answered, resources)
    }

    /// Writes to the event history what a user did; `key` is empty for the console.
    pub fn record_user(
        &mut self,
        (account, user, key): (&AccountId, &str, &str),
        Happened { region, at, service, operation, address }: Happened<'_>,
        (request, response): (Value, Value),
        resources: Vec<(String, String)>,
    ) -> Result<(), String> {
        let iam = &self.world.account(account).iam;
        let who = iam.principal(&self.world.partition, account, Some(user));
        let who = who.ok_or_else(|| format!("there is no user `{user}`"))?;
        let event = Event {
            id: self.world.uuid(),
            time: at,
            name: operation.to_owned(),
            source: format!("{service}.amazonaws.com"),
            region: region.clone(),
            recipient: account.clone(),
            read_only: false,
            identity: Identity {
                account: account.clone(),
                arn: who.arn,
                user_id: who.user_id,
                access_key: key.to_owned(),
                issuer: None,
            },
            resources,
            request,
            response,
            error: None,
            request_id: self.world.uuid(),
            source_address: address.map_or_else(|| USUAL_ADDRESS.to_owned(), |address| address.to_string()),
            user_agent: "aws-cli/2.31.0".to_owned(),
        };
        self.world.region_mut(account, region).cloudtrail.record(event);
        Ok(())
    }
}

fn second_volume(gib: u32) -> BlockDeviceMapping {
    BlockDeviceMapping {
        device_name: "xvdf".to_owned(),
        ebs: Some(EbsBlock { volume_size: Some(gib), delete_on_termination: Some(true), ..EbsBlock::default() }),
        ..BlockDeviceMapping::default()
    }
}

/// The regions that an account can work in.
pub(super) fn account_regions(world: &World, account: &AccountId) -> Vec<Region> {
    let regions = world.account(account).regions.iter();
    regions.filter(|(_, state)| state.opt_in.is_enabled()).map(|(region, _)| region.clone()).collect()
}
