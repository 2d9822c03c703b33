//! Launch templates.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::LAUNCH_TEMPLATE;
use super::launch::LaunchSpec;
use super::listing::{Listed, Look, describe, one};
use super::run::RunInstances;
use super::shape::{date, maybe, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A launch template.
#[derive(Debug, Clone, Serialize)]
pub struct LaunchTemplate {
    /// `lt-…`.
    pub id: String,
    /// Unique in the region.
    pub name: String,
    /// Since when.
    pub created: Timestamp,
    /// ARN of whoever made it.
    pub created_by: String,
    /// Its versions, by number.
    pub versions: BTreeMap<u64, Version>,
    /// The number of the version that counts when none is named.
    pub default_version: u64,
    /// Tags.
    pub tags: Tags,
}

/// A version of a launch template.
#[derive(Debug, Clone, Serialize)]
pub struct Version {
    /// Since when.
    pub created: Timestamp,
    /// ARN of whoever made it.
    pub created_by: String,
    /// In words.
    pub description: Option<String>,
    /// What it launches.
    #[serde(skip)]
    pub data: RunInstances,
}

impl LaunchTemplate {
    fn latest(&self) -> u64 {
        self.versions.keys().next_back().copied().unwrap_or_default()
    }

    /// The number that is meant by `$Latest`, `$Default` (or nothing), or a number.
    fn number(&self, version: Option<&str>) -> Result<u64, Refusal> {
        let number = match version {
            None | Some("" | "$Default") => Some(self.default_version),
            Some("$Latest") => Some(self.latest()),
            Some(number) => number.parse().ok(),
        };
        number.filter(|number| self.versions.contains_key(number)).ok_or_else(|| {
            let version = version.unwrap_or_default();
            let message =
                format!("Could not find the specified version {version} for the launch template with ID {}.", self.id);
            Refusal::new(400, "InvalidLaunchTemplateId.VersionNotFound", message)
        })
    }
}

/// A template as a parameter.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
pub struct TemplateReference {
    /// By id.
    pub launch_template_id: Option<String>,
    /// By name.
    pub launch_template_name: Option<String>,
    /// `1`, `$Latest`, `$Default`.
    pub version: Option<String>,
}

impl TemplateReference {
    /// The template of this id or name, whatever its version.
    fn to(launch_template_id: Option<String>, launch_template_name: Option<String>) -> Self {
        Self { launch_template_id, launch_template_name, version: None }
    }
}

impl Listed for LaunchTemplate {
    const PAGE: RangeInclusive<u32> = 1..=200;

    const FILTERS: &'static [(&'static str, Look<Self>)] =
        &[("create-time", |_, t| one(date(t.created))), ("launch-template-name", |_, t| one(&t.name))];

    fn id(&self) -> &str {
        &self.id
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }
}

fn shown(t: &LaunchTemplate) -> Vec<Xml> {
    vec![
        Xml::text("launchTemplateId", &t.id),
        Xml::text("launchTemplateName", &t.name),
        Xml::text("createTime", date(t.created)),
        Xml::text("createdBy", &t.created_by),
        Xml::text("defaultVersionNumber", t.default_version),
        Xml::text("latestVersionNumber", t.latest()),
        tag_set(&t.tags),
    ]
}

describe!(DescribeLaunchTemplates {
    ids: Vec<String> = "LaunchTemplateId",
    names: Vec<String> = "LaunchTemplateName",
    _include_managed_resources: Option<bool> = "IncludeManagedResources",
});

/// DescribeLaunchTemplates.
pub fn describe(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeLaunchTemplates = call.params.read()?;
    for name in &params.names {
        ec2.template(&TemplateReference::to(None, Some(name.clone())))?;
    }
    let mut templates = LAUNCH_TEMPLATE.select(&ec2.launch_templates, &params.ids)?;
    templates.retain(|template| params.names.is_empty() || params.names.contains(&template.name));
    let (page, next) = params.listing().of(ec2, templates)?;
    Ok(Body::Xml(paged(vec![Xml::list("launchTemplates", "item", page.into_iter().map(shown))], next)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateLaunchTemplate {
    launch_template_name: String,
    launch_template_data: RunInstances,
    version_description: Option<String>,
    client_token: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

/// CreateLaunchTemplate.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateLaunchTemplate = call.params.read()?;
    let token = params.client_token.as_deref();
    if let Some(made) = ec2.made_before(token, call)? {
        let template = LAUNCH_TEMPLATE.get(&ec2.launch_templates, &made.concat())?;
        return Ok(Body::Xml(vec![Xml::node("launchTemplate", shown(template))]));
    }
    let name = params.launch_template_name;
    if ec2.launch_templates.values().any(|template| template.name == name) {
        let message = format!("Launch template name already in use: {name}");
        return Err(Refusal::new(400, "InvalidLaunchTemplateName.AlreadyExistsException", message));
    }
    let version = Version::of(call, params.version_description, params.launch_template_data);
    let template = LaunchTemplate {
        id: ec2.ids.next(LAUNCH_TEMPLATE.prefix),
        name,
        created: call.now,
        created_by: call.principal.arn.clone(),
        versions: BTreeMap::from([(1, version)]),
        default_version: 1,
        tags: tags::specified(&params.tag_specifications, "launch-template")?,
    };
    let body = Body::Xml(vec![Xml::node("launchTemplate", shown(&template))]);
    ec2.remember_made(token, call, std::slice::from_ref(&template.id));
    ec2.launch_templates.insert(template.id.clone(), template);
    Ok(body)
}

impl Version {
    fn of(call: &Call, description: Option<String>, data: RunInstances) -> Self {
        Self { created: call.now, created_by: call.principal.arn.clone(), description, data }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateLaunchTemplateVersion {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    source_version: Option<String>,
    version_description: Option<String>,
    launch_template_data: RunInstances,
    client_token: Option<String>,
    _dry_run: Option<bool>,
}

/// CreateLaunchTemplateVersion: what is not given is taken from the source version, if there is one.
pub fn create_version(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateLaunchTemplateVersion = call.params.read()?;
    let (id, name) = (params.launch_template_id, params.launch_template_name);
    let id = ec2.template(&TemplateReference::to(id, name))?.id.clone();
    let token = params.client_token.as_deref();
    let before = ec2.made_before(token, call)?.map(<[String]>::concat);
    let template = LAUNCH_TEMPLATE.get_mut(&mut ec2.launch_templates, &id)?;
    let number = match before.and_then(|number| number.parse().ok()) {
        Some(number) => number,
        None => {
            let source = params.source_version.map(|source| template.number(Some(&source))).transpose()?;
            let data = match source.and_then(|number| template.versions.get(&number)) {
                None => params.launch_template_data,
                Some(source) => params.launch_template_data.over(source.data.clone()),
            };
            let number = template.latest() + 1;
            template.versions.insert(number, Version::of(call, params.version_description, data));
            number
        }
    };
    let xml = Xml::node("launchTemplateVersion", shown_version(template, number));
    ec2.remember_made(token, call, &[number.to_string()]);
    Ok(Body::Xml(vec![xml]))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyLaunchTemplate {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    #[serde(rename = "SetDefaultVersion")]
    default_version: Option<String>,
    _client_token: Option<String>,
    _dry_run: Option<bool>,
}

/// ModifyLaunchTemplate: sets the default version.
pub fn modify(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ModifyLaunchTemplate = call.params.read()?;
    let reference = TemplateReference::to(params.launch_template_id, params.launch_template_name);
    let id = ec2.template(&reference)?.id.clone();
    let template = LAUNCH_TEMPLATE.get_mut(&mut ec2.launch_templates, &id)?;
    template.default_version = template.number(params.default_version.as_deref())?;
    Ok(Body::Xml(vec![Xml::node("launchTemplate", shown(template))]))
}

describe!(DescribeLaunchTemplateVersions {
    id: Option<String> = "LaunchTemplateId",
    name: Option<String> = "LaunchTemplateName",
    versions: Vec<String> = "LaunchTemplateVersion",
    _include_managed_resources: Option<bool> = "IncludeManagedResources",
});

/// DescribeLaunchTemplateVersions: those that are named, or all, the newest first; one page. Without a template, the default
/// or newest versions of all templates.
pub fn describe_versions(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeLaunchTemplateVersions = call.params.read()?;
    let everywhere = params.id.is_none() && params.name.is_none();
    let aliases = !params.versions.is_empty() && params.versions.iter().all(|v| v == "$Default" || v == "$Latest");
    if everywhere && aliases {
        let (page, next) = params.listing().of(ec2, ec2.launch_templates.values())?;
        let items = page.into_iter().flat_map(|template| {
            let numbers = params.versions.iter().filter_map(|version| template.number(Some(version)).ok());
            let numbers: BTreeSet<u64> = numbers.collect();
            numbers.into_iter().rev().map(|number| shown_version(template, number)).collect::<Vec<_>>()
        });
        return Ok(Body::Xml(paged(vec![Xml::list("launchTemplateVersionSet", "item", items)], next)));
    }
    let template = ec2.template(&TemplateReference::to(params.id.clone(), params.name.clone()))?;
    params.listing().of(ec2, [template])?;
    let numbers = if params.versions.is_empty() {
        template.versions.keys().rev().copied().collect()
    } else {
        params.versions.iter().map(|version| template.number(Some(version))).collect::<Result<Vec<_>, _>>()?
    };
    let items = numbers.into_iter().map(|number| shown_version(template, number));
    Ok(Body::Xml(vec![Xml::list("launchTemplateVersionSet", "item", items)]))
}

fn shown_version(template: &LaunchTemplate, number: u64) -> Vec<Xml> {
    let mut xml = vec![
        Xml::text("launchTemplateId", &template.id),
        Xml::text("launchTemplateName", &template.name),
        Xml::text("versionNumber", number),
        Xml::text("defaultVersion", number == template.default_version),
    ];
    if let Some(version) = template.versions.get(&number) {
        xml.extend([
            Xml::text("createTime", date(version.created)),
            Xml::text("createdBy", &version.created_by),
            Xml::node("launchTemplateData", version.data.template_xml()),
        ]);
        xml.extend(maybe("versionDescription", version.description.as_ref()));
    }
    xml
}

impl Ec2 {
    /// The template that is meant.
    pub fn template(&self, reference: &TemplateReference) -> Result<&LaunchTemplate, Refusal> {
        match (&reference.launch_template_id, &reference.launch_template_name) {
            (Some(id), _) => LAUNCH_TEMPLATE.get(&self.launch_templates, id),
            (None, Some(name)) => {
                self.launch_templates.values().find(|template| template.name == *name).ok_or_else(|| {
                    let message = format!("The specified launch template, with template name {name}, does not exist.");
                    Refusal::new(400, "InvalidLaunchTemplateName.NotFoundException", message)
                })
            }
            (None, None) => {
                Err(Refusal::new(400, "MissingParameter", "A launch template is named by its id or its name"))
            }
        }
    }

    /// A machine as a template describes it.
    pub fn template_spec(&self, reference: &TemplateReference, now: Timestamp) -> Result<LaunchSpec, Refusal> {
        self.template_data(reference)?.spec(self, now)
    }

    /// What the template that is meant launches.
    pub(super) fn template_data(&self, reference: &TemplateReference) -> Result<RunInstances, Refusal> {
        let template = self.template(reference)?;
        let number = template.number(reference.version.as_deref())?;
        Ok(template.versions[&number].data.clone())
    }
}
