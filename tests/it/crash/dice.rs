//! Which of the crash points are tried.

/// Whether every crash point is to be tried.
pub fn exhaustive() -> bool {
    std::env::var("TASKFORGE_CRASH").is_ok_and(|value| value == "all")
}

/// Random numbers of a seed that is printed, so that what failed can be tried again.
pub struct Dice(u64);

impl Dice {
    pub fn new(test: &str) -> Self {
        let given = std::env::var("TASKFORGE_CRASH_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        });
        println!("{test}: TASKFORGE_CRASH_SEED={seed}");
        Self(seed)
    }

    /// A number below `bound`: SplitMix64.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    /// All of `points` in exhaustive mode, otherwise `count` of them.
    pub fn sample<T>(&mut self, mut points: Vec<T>, count: usize) -> Vec<T> {
        if exhaustive() {
            return points;
        }
        while points.len() > count {
            let victim = usize::try_from(self.below(points.len() as u64)).unwrap();
            points.remove(victim);
        }
        points
    }
}
