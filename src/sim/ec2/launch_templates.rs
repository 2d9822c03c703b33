//! Launch templates.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ec2;
use super::ids::LAUNCH_TEMPLATE;
use super::listing::{Listed, Look, describe, one};
use super::run::{LaunchSpec, RunInstances};
use super::shape::{date, paged, tag_set};
use super::tags::{self, TagSpecification, Tags};
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

/// A launch template. It has one version.
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
    /// What it launches.
    #[serde(skip)]
    pub data: RunInstances,
    /// Tags.
    pub tags: Tags,
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

impl Listed for LaunchTemplate {
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
        Xml::text("defaultVersionNumber", 1),
        Xml::text("latestVersionNumber", 1),
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
        ec2.template(&TemplateReference { launch_template_name: Some(name.clone()), ..TemplateReference::default() })?;
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
    _version_description: Option<String>,
    _client_token: Option<String>,
    #[serde(default, rename = "TagSpecification")]
    tag_specifications: Vec<TagSpecification>,
    _dry_run: Option<bool>,
}

/// CreateLaunchTemplate.
pub fn create(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: CreateLaunchTemplate = call.params.read()?;
    let name = params.launch_template_name;
    if ec2.launch_templates.values().any(|template| template.name == name) {
        let message = format!("Launch template name already in use: {name}");
        return Err(Refusal::new(400, "InvalidLaunchTemplateName.AlreadyExistsException", message));
    }
    let template = LaunchTemplate {
        id: ec2.ids.next(LAUNCH_TEMPLATE.prefix),
        name,
        created: call.now,
        created_by: call.principal.arn.clone(),
        data: params.launch_template_data,
        tags: tags::specified(&params.tag_specifications, "launch-template")?,
    };
    let body = Body::Xml(vec![Xml::node("launchTemplate", shown(&template))]);
    ec2.launch_templates.insert(template.id.clone(), template);
    Ok(body)
}

describe!(DescribeLaunchTemplateVersions {
    id: Option<String> = "LaunchTemplateId",
    name: Option<String> = "LaunchTemplateName",
    _versions: Vec<String> = "LaunchTemplateVersion",
    _include_managed_resources: Option<bool> = "IncludeManagedResources",
});

/// DescribeLaunchTemplateVersions.
pub fn describe_versions(ec2: &Ec2, call: &Call) -> Reply {
    let params: DescribeLaunchTemplateVersions = call.params.read()?;
    let reference = TemplateReference {
        launch_template_id: params.id.clone(),
        launch_template_name: params.name.clone(),
        version: None,
    };
    let template = ec2.template(&reference)?;
    let (page, next) = params.listing().of(ec2, [template])?;
    let items = page.into_iter().map(|template| {
        vec![
            Xml::text("launchTemplateId", &template.id),
            Xml::text("launchTemplateName", &template.name),
            Xml::text("versionNumber", 1),
            Xml::text("createTime", date(template.created)),
            Xml::text("createdBy", &template.created_by),
            Xml::text("defaultVersion", true),
            Xml::node("launchTemplateData", template.data.template_xml()),
        ]
    });
    Ok(Body::Xml(paged(vec![Xml::list("launchTemplateVersionSet", "item", items)], next)))
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
        match reference.version.as_deref() {
            None | Some("1" | "$Latest" | "$Default") => self.template(reference).map(|template| template.data.clone()),
            Some(version) => {
                let message = format!("Could not find the launch template version {version}");
                Err(Refusal::new(400, "InvalidLaunchTemplateId.VersionNotFound", message))
            }
        }
    }
}
