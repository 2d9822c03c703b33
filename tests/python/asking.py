"""What the scripts share: clients for an address, and checks that go on after the first failure."""

import json
import sys
import traceback
import urllib.request
from contextlib import contextmanager

import boto3
import botocore.model
from botocore.config import Config
from botocore.exceptions import ClientError

ONE_ATTEMPT = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})


def speak_json():
    """Lets boto3 speak JSON where it would choose CBOR: quell and the simulated AWS do, and AWS understands both."""
    known = botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS
    botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = [one for one in known if "cbor" not in one]


class Caller:
    """A person with credentials, at one address."""

    def __init__(self, endpoint, access_key_id, secret_access_key, session_token=None, region="us-east-1"):
        self.endpoint = endpoint
        self.region = region
        self.session = boto3.Session(access_key_id, secret_access_key, session_token, region_name=region)

    def client(self, service, region=None):
        return self.session.client(
            service, region_name=region or self.region, endpoint_url=self.endpoint, config=ONE_ATTEMPT
        )

    def assume(self, role_arn, name="tests", **more):
        answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName=name, **more)
        made = answer["Credentials"]
        return Caller(self.endpoint, made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], self.region)


class Time:
    """The time of the simulated AWS: what takes its time there is not waited for, the time is moved on."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def forward(self, seconds):
        body = json.dumps({"forward": f"{round(seconds * 1000)}ms"}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/_sim/clock", body, method="POST")).close()

    def until(self, words, look, wanted=True, within=180):
        """Moves it on second by second, until what is looked at is as wanted."""
        for _ in range(within):
            if (seen := look()) == wanted:
                return
            self.forward(1)
        raise AssertionError(f"{words}: still {seen!r}, not {wanted!r}, after {within} s")


class Checks:
    """Counts what is as expected, and says what is not."""

    def __init__(self):
        self.done = 0
        self.wrong = 0

    @contextmanager
    def topic(self, words):
        """An exception ends its topic only; the rest is still checked."""
        print(words)
        try:
            yield
        except Exception:
            self.wrong += 1
            print(f"  WRONG  {words} ended early:")
            traceback.print_exc(file=sys.stdout)

    def equal(self, words, found, expected):
        self.done += 1
        if found != expected:
            self.wrong += 1
            print(f"  WRONG  {words}: found {found!r}, expected {expected!r}")

    def true(self, words, found):
        self.equal(words, bool(found), True)

    def contains(self, words, text, part):
        self.done += 1
        if part not in text:
            self.wrong += 1
            print(f"  WRONG  {words}: {part!r} is not in {text!r}")

    def refused(self, words, status, code, call, *parts, **parameters):
        """The call has to fail with this HTTP status and code, and its message has to hold these parts."""
        self.done += 1
        try:
            answer = call(**parameters)
        except ClientError as error:
            message = error.response["Error"].get("Message", "")
            found = (error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])
            if found != (status, code):
                self.wrong += 1
                print(f"  WRONG  {words}: found {found}, expected {(status, code)}: {message}")
            for part in parts:
                if part not in message:
                    self.wrong += 1
                    print(f"  WRONG  {words}: {part!r} is not in the message {message!r}")
            return
        self.wrong += 1
        print(f"  WRONG  {words}: expected {(status, code)}, but it was done: {answer}")

    def end(self):
        """Ends the process, with a failure if anything was wrong."""
        print(f"{self.done} checks, {self.wrong} wrong")
        sys.exit(1 if self.wrong or not self.done else 0)
