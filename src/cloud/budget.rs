//! Token buckets on this side of the wire, so that AWS's never run dry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Duration, Instant, sleep};

use super::call::Call;
use super::limits::{self, Limit};

/// The share of AWS's rate that quell uses. Requests do not arrive as evenly as they leave.
const SHARE: f64 = 0.98;
/// The shortest rate after throttle answers, as a share of the full one: somebody else draws from the same bucket.
const SLOWEST: f64 = 1.0 / 16.0;
/// How much of the full rate comes back with every answer that is not a throttle.
const RECOVERY: f64 = 0.02;

/// So many buckets are kept before those are let go that are as good as new.
const KEPT: usize = 4_096;

/// All buckets, by account, region, service and name.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    all: HashMap<Key, Arc<Bucket>>,
    /// How many were left when some were let go last.
    left: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    account: String,
    region: String,
    service: String,
    bucket: String,
}

/// The buckets that one request drew from, to tell them how it went.
#[derive(Debug)]
pub(super) struct Drawn(Vec<Arc<Bucket>>);

impl Budgets {
    /// Waits until a request may leave. Whoever asks first goes first.
    pub async fn draw(&self, account: &str, call: &Call) -> Drawn {
        let mut drawn = Vec::new();
        for limit in limits::of(call) {
            let bucket = self.bucket(account, call, &limit);
            bucket.draw(limit.cost).await;
            drawn.push(bucket);
        }
        Drawn(drawn)
    }

    fn bucket(&self, account: &str, call: &Call, limit: &Limit) -> Arc<Bucket> {
        let key = Key {
            account: account.to_owned(),
            region: call.region.clone(),
            service: call.service.clone(),
            bucket: limit.bucket.clone(),
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.let_go();
        buckets.all.entry(key).or_insert_with(|| Arc::new(Bucket::new(limit.capacity, limit.refill))).clone()
    }
}

impl Buckets {
    /// Lets go of the buckets that a new one would be the same as: an organisation has tens of thousands of lanes, and in
    /// most of them a bucket is drawn from once.
    fn let_go(&mut self) {
        if self.all.len() >= KEPT.max(2 * self.left) {
            self.all.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.level().is_as_new());
            self.left = self.all.len();
        }
    }
}

impl Drawn {
    /// AWS said "too fast": the buckets of this request are empty, and fill up half as fast from now on.
    pub fn throttled(&self) {
        self.0.iter().for_each(|bucket| bucket.level().throttled());
    }

    /// Since when the buckets of this request brought nothing but throttle answers, if they do.
    pub fn storms_since(&self) -> Option<Instant> {
        self.0.iter().filter_map(|bucket| bucket.level().storms_since).min()
    }

    /// AWS did not: a bucket that was slowed down gets a little faster again.
    pub fn passed(&self) {
        self.0.iter().for_each(|bucket| bucket.level().passed());
    }
}

#[derive(Debug)]
struct Bucket {
    /// Held by whoever is next; tokio's mutex is fair, so it is the queue.
    turn: tokio::sync::Mutex<()>,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    capacity: f64,
    refill: f64,
    /// The share of `refill` in force.
    pace: f64,
    tokens: f64,
    at: Instant,
    /// When the first of the throttle answers came after which nothing has passed.
    storms_since: Option<Instant>,
}

impl Bucket {
    fn new(capacity: f64, refill: f64) -> Self {
        // A tenth of a second's refill is held back: so much closer together may requests arrive than they left.
        let capacity = (capacity - (refill / 10.0).ceil()).max(1.0);
        let level = Level {
            capacity,
            refill: refill * SHARE,
            pace: 1.0,
            tokens: capacity,
            at: Instant::now(),
            storms_since: None,
        };
        Self { turn: tokio::sync::Mutex::new(()), level: Mutex::new(level) }
    }

    async fn draw(&self, cost: f64) {
        let _turn = self.turn.lock().await;
        loop {
            let missing = self.level().take(cost);
            match missing {
                None => return,
                Some(wait) => sleep(wait).await,
            }
        }
    }

    fn level(&self) -> std::sync::MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Level {
    /// Takes `cost` tokens, or says how long they are still missing. A cost above the capacity takes a full bucket.
    fn take(&mut self, cost: f64) -> Option<Duration> {
        self.fill();
        let cost = cost.min(self.capacity);
        // Less than a thousandth is rounding.
        if self.tokens + 0.001 >= cost {
            self.tokens -= cost;
            return None;
        }
        Some(Duration::from_secs_f64((cost - self.tokens) / (self.refill * self.pace)))
    }

    fn fill(&mut self) {
        let now = Instant::now();
        let since = now.duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + since * self.refill * self.pace).min(self.capacity);
        self.at = now;
    }

    fn is_as_new(&mut self) -> bool {
        self.fill();
        self.tokens >= self.capacity && self.pace >= 1.0 && self.storms_since.is_none()
    }

    fn throttled(&mut self) {
        self.fill();
        self.tokens = 0.0;
        self.pace = (self.pace / 2.0).max(SLOWEST);
        self.storms_since.get_or_insert(self.at);
    }

    fn passed(&mut self) {
        self.fill();
        self.pace = (self.pace + RECOVERY).min(1.0);
        self.storms_since = None;
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::super::call::tests::form;
    use super::*;

    fn stop() -> Call {
        Call::read(&form("ec2", "Action=StopInstances&InstanceId.1=i-1"))
    }

    /// The bucket on AWS's side: the documented numbers, and no mercy.
    struct Theirs {
        tokens: f64,
        at: Instant,
    }

    impl Theirs {
        fn accept(&mut self, capacity: f64, refill: f64) -> bool {
            let now = Instant::now();
            self.tokens = (self.tokens + (now - self.at).as_secs_f64() * refill).min(capacity);
            self.at = now;
            self.tokens -= 1.0;
            self.tokens >= 0.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn three_hundred_calls_see_no_throttle_and_waste_no_time() {
        let budgets = Budgets::default();
        let (start, theirs) = (Instant::now(), Mutex::new(Theirs { tokens: 50.0, at: Instant::now() }));
        let calls = (0..300).map(|_| async {
            budgets.draw("111122223333", &stop()).await;
            assert!(theirs.lock().unwrap().accept(50.0, 5.0), "throttled at {:?}", start.elapsed());
        });
        join_all(calls).await;
        let least = (300.0 - 50.0) / 5.0;
        assert!(start.elapsed().as_secs_f64() <= 1.15 * least, "took {:?}, least is {least} s", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_first_goes_first() {
        let budgets = Budgets::default();
        let order = Mutex::new(Vec::new());
        let calls = (0..80).map(|number| {
            let (budgets, order) = (&budgets, &order);
            async move {
                budgets.draw("111122223333", &stop()).await;
                order.lock().unwrap().push(number);
            }
        });
        join_all(calls).await;
        assert_eq!(*order.lock().unwrap(), (0..80).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttle_slows_its_own_bucket_only() {
        let budgets = Budgets::default();
        budgets.draw("111122223333", &stop()).await.throttled();
        let start = Instant::now();
        let describe = Call::read(&form("ec2", "Action=DescribeInstances&MaxResults=5"));
        budgets.draw("111122223333", &describe).await;
        budgets.draw("444455556666", &stop()).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        budgets.draw("111122223333", &stop()).await;
        assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn buckets_that_are_full_again_are_let_go() {
        let budgets = Budgets::default();
        let kept = || budgets.buckets.lock().unwrap().all.len();
        budgets.draw("111122223333", &stop()).await.throttled();
        for account in 0..KEPT {
            budgets.draw(&account.to_string(), &stop()).await;
        }
        assert!(kept() > KEPT, "none is full again");
        tokio::time::advance(Duration::from_secs(2)).await;
        for account in KEPT..2 * KEPT + 8 {
            budgets.draw(&account.to_string(), &stop()).await;
        }
        // Two for each draw, calls and instances; those of before have gone, but for the two that were slowed down.
        assert!(kept() <= 2 * (KEPT + 8) + 2, "{}", kept());
        let slowed = budgets.buckets.lock().unwrap().all.keys().filter(|key| key.account == "111122223333").count();
        assert_eq!(slowed, 2, "what was slowed down is kept");
    }
}
