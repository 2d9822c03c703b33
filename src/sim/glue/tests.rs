use jiff::SignedDuration;

use super::*;
use crate::model::AccountId;
use crate::sim::call::test_call;

struct Lab {
    world: World,
    now: Timestamp,
}

impl Lab {
    fn new() -> Self {
        let mut world = World::new(1);
        world.add_account(AccountId::new("111122223333").unwrap(), "development");
        Self { world, now: "2026-03-03T15:00:00Z".parse().unwrap() }
    }

    fn ask(&mut self, operation: &str, parameters: Value) -> Result<Value, String> {
        let params = Params::Json(parameters);
        let call = Call { now: self.now, params, ..test_call("glue", operation, "") };
        permissions(&self.world, &call).unwrap();
        match handle(&mut self.world, &call) {
            Ok(Body::Json(json)) => Ok(json),
            Ok(_) => panic!("not JSON"),
            Err(refusal) => Err(refusal.code),
        }
    }

    fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// A job, and a trigger that starts it.
    fn mine(&mut self, trigger: Value) {
        let job = json!({ "Name": "mine", "Role": "glue", "Command": { "Name": "glueetl" } });
        self.ask("CreateJob", job).unwrap();
        let mut asked = json!({ "Name": "again", "Actions": [{ "JobName": "mine" }], "StartOnCreation": true });
        asked.as_object_mut().unwrap().extend(trigger.as_object().unwrap().clone());
        self.ask("CreateTrigger", asked).unwrap();
    }

    fn states(&mut self) -> Vec<String> {
        let runs = self.ask("GetJobRuns", json!({ "JobName": "mine" })).unwrap();
        let states = runs["JobRuns"].as_array().unwrap().iter().map(|run| run["JobRunState"].as_str().unwrap());
        states.map(str::to_owned).collect()
    }

    fn stop_runs(&mut self) {
        let runs = self.ask("GetJobRuns", json!({ "JobName": "mine" })).unwrap();
        let id = &runs["JobRuns"][0]["Id"];
        let stopped = self.ask("BatchStopJobRun", json!({ "JobName": "mine", "JobRunIds": [id] })).unwrap();
        assert_eq!(stopped["Errors"], json!([]));
    }
}

fn every_five_minutes() -> Value {
    json!({ "Type": "SCHEDULED", "Schedule": "cron(0/5 * * * ? *)" })
}

#[test]
fn a_schedule_starts_a_job_again_until_it_is_switched_off() {
    let mut lab = Lab::new();
    lab.mine(every_five_minutes());
    lab.wait(299);
    assert!(lab.states().is_empty());
    lab.wait(1);
    assert_eq!(lab.states(), ["STARTING"]);
    lab.wait(600);
    assert_eq!(lab.states(), ["RUNNING"], "one at a time");
    lab.stop_runs();
    assert_eq!(lab.states(), ["STOPPING"]);
    lab.wait(300);
    assert_eq!(lab.states(), ["STARTING", "STOPPED"]);
    lab.ask("StopTrigger", json!({ "Name": "again" })).unwrap();
    lab.stop_runs();
    lab.wait(86_400);
    assert_eq!(lab.states(), ["STOPPED", "STOPPED"]);
    assert_eq!(lab.ask("GetTrigger", json!({ "Name": "again" })).unwrap()["Trigger"]["State"], "DEACTIVATED");
}

#[test]
fn a_condition_starts_again_what_was_stopped_if_a_trigger_had_started_it() {
    let mut lab = Lab::new();
    let conditions = json!([{ "LogicalOperator": "EQUALS", "JobName": "mine", "State": "STOPPED" }]);
    lab.mine(json!({ "Type": "CONDITIONAL", "Predicate": { "Conditions": conditions } }));
    lab.ask("StartJobRun", json!({ "JobName": "mine" })).unwrap();
    lab.stop_runs();
    lab.wait(60);
    assert_eq!(lab.states(), ["STOPPED"], "nobody follows what was started by hand");
    let demand = json!({ "Name": "go", "Type": "ON_DEMAND", "Actions": [{ "JobName": "mine" }] });
    lab.ask("CreateTrigger", demand).unwrap();
    lab.ask("StartTrigger", json!({ "Name": "go" })).unwrap();
    lab.stop_runs();
    lab.wait(60);
    assert_eq!(lab.states(), ["RUNNING", "STOPPED", "STOPPED"]);
}

#[test]
fn a_run_ends_when_its_time_is_up_and_there_are_only_so_many_at_once() {
    let mut lab = Lab::new();
    lab.mine(every_five_minutes());
    lab.ask("StopTrigger", json!({ "Name": "again" })).unwrap();
    lab.ask("StartJobRun", json!({ "JobName": "mine", "Timeout": 10 })).unwrap();
    let again = lab.ask("StartJobRun", json!({ "JobName": "mine" }));
    assert_eq!(again.unwrap_err(), "ConcurrentRunsExceededException");
    lab.wait(600);
    assert_eq!(lab.states(), ["TIMEOUT"]);
}

#[test]
fn a_session_is_stopped_when_it_is_ready_and_for_good() {
    let mut lab = Lab::new();
    let id = json!({ "Id": "shell" });
    lab.ask("CreateSession", json!({ "Id": "shell", "Role": "glue", "Command": { "Name": "glueetl" } })).unwrap();
    assert_eq!(lab.ask("StopSession", id.clone()).unwrap_err(), "IllegalSessionStateException");
    lab.wait(30);
    lab.ask("StopSession", id.clone()).unwrap();
    lab.wait(15);
    assert_eq!(lab.ask("GetSession", id.clone()).unwrap()["Session"]["Status"], "STOPPED");
    assert_eq!(lab.ask("StopSession", id).unwrap_err(), "IllegalSessionStateException");
}

#[test]
fn a_job_is_made_by_whom_may_pass_its_role() {
    let lab = Lab::new();
    let parameters = Params::Json(json!({ "Name": "mine", "Role": "glue" }));
    let call = Call { params: parameters, ..test_call("glue", "CreateJob", "") };
    let needed = permissions(&lab.world, &call).unwrap();
    assert_eq!(needed[0].resource, "arn:aws:glue:us-east-1:111122223333:job/mine");
    assert_eq!(needed[1].action, "iam:PassRole");
    assert_eq!(needed[1].resource, "arn:aws:iam::111122223333:role/glue");
}
