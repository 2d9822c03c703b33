//! Who else may launch an image.

use serde::Deserialize;

use super::Ec2;
use super::ids::IMAGE;
use super::images::Image;
use super::shape::value;
use crate::sim::call::{Body, Call, Refusal, Reply};
use crate::sim::wire::xml::Xml;

fn invalid(attribute: &str) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", format!("Value ({attribute}) for parameter attribute is invalid."))
}

/// An image of the account's own: the attributes of others are nobody's business.
fn own<'a>(ec2: &'a mut Ec2, id: &str) -> Result<&'a mut Image, Refusal> {
    let account = ec2.account.clone();
    let image = IMAGE.get_mut(&mut ec2.images, id)?;
    if image.owner != account {
        return Err(Refusal::new(403, "AuthFailure", format!("Not authorized for image:{id}")));
    }
    Ok(image)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeImageAttribute {
    image_id: String,
    attribute: String,
    _dry_run: Option<bool>,
}

/// DescribeImageAttribute.
pub fn describe(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: DescribeImageAttribute = call.params.read()?;
    let image = own(ec2, &params.image_id)?;
    let shown = match params.attribute.as_str() {
        "launchPermission" => {
            let everybody = image.public.then(|| vec![Xml::text("group", "all")]);
            let accounts = image.shared_with.iter().map(|account| vec![Xml::text("userId", account)]);
            Xml::list("launchPermission", "item", everybody.into_iter().chain(accounts))
        }
        "description" => value("description", &image.description),
        other => return Err(invalid(other)),
    };
    Ok(Body::Xml(vec![Xml::text("imageId", &params.image_id), shown]))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
struct Permissions {
    add: Vec<Sharer>,
    remove: Vec<Sharer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Sharer {
    user_id: Option<String>,
    group: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ModifyImageAttribute {
    image_id: String,
    attribute: Option<String>,
    #[serde(default)]
    launch_permission: Permissions,
    _dry_run: Option<bool>,
}

/// ModifyImageAttribute: shares an image, or ends it.
pub fn modify(ec2: &mut Ec2, call: &Call) -> Reply {
    let params: ModifyImageAttribute = call.params.read()?;
    if let Some(other) = params.attribute.filter(|attribute| attribute != "launchPermission") {
        return Err(invalid(&other));
    }
    let Permissions { add, remove } = params.launch_permission;
    let is_everybody = |sharer: &Sharer| sharer.group.as_deref() == Some("all");
    if add.iter().any(is_everybody) {
        ec2.region_settings.may_share_images()?;
    }
    let image = own(ec2, &params.image_id)?;
    for sharer in add {
        match sharer.user_id {
            Some(account) if !image.shared_with.contains(&account) => image.shared_with.push(account),
            Some(_) => {}
            None => image.public = true,
        }
    }
    for sharer in remove {
        match sharer.user_id {
            Some(account) => image.shared_with.retain(|known| *known != account),
            None => image.public = false,
        }
    }
    Ok(Body::ec2_true())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccountId, Region};
    use crate::sim::call::test_call;

    #[test]
    fn an_image_is_shared_with_an_account_and_with_everybody() {
        let mut ec2 = Ec2::new(&AccountId::new("111122223333").unwrap(), &Region::new("us-east-1").unwrap());
        let id = ec2.register_image(Image::linux("base", jiff::Timestamp::UNIX_EPOCH, 8));
        let mut ask = |form: &str| modify(&mut ec2, &test_call("ec2", "", &format!("ImageId={id}&{form}"))).map(drop);
        ask("LaunchPermission.Add.1.UserId=444455556666").unwrap();
        ask("LaunchPermission.Add.1.Group=all").unwrap();
        let image = &ec2.images[&id];
        assert_eq!((image.public, image.shared_with.as_slice()), (true, &["444455556666".to_owned()][..]));
        ec2.region_settings.image_block_public_access = "block-new-sharing".to_owned();
        let again = test_call("ec2", "", &format!("ImageId={id}&LaunchPermission.Add.1.Group=all"));
        assert_eq!(modify(&mut ec2, &again).unwrap_err().code, "OperationNotPermitted");
        let end = test_call("ec2", "", &format!("ImageId={id}&LaunchPermission.Remove.1.Group=all"));
        modify(&mut ec2, &end).unwrap();
        assert!(!ec2.images[&id].public);
        let of_amazon = ec2.images.values().find(|image| image.owner_alias.is_some()).unwrap().id.clone();
        let form = format!("ImageId={of_amazon}&Attribute=launchPermission");
        assert_eq!(describe(&mut ec2, &test_call("ec2", "", &form)).unwrap_err().code, "AuthFailure");
    }
}
