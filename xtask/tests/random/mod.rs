//! Bytes that are the same in every run, and what becomes of others by small faults.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

/// A sequence of numbers that its name determines (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(name: &str) -> Self {
        Self(
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |seed, byte| {
                (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            }),
        )
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below a limit, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }
}

/// The same bytes with a fault each: another byte, one that is near, a bound, a cut, more.
///
/// Most faults are near the beginning, where what decides on the rest stands.
pub fn mutated(base: &[u8], count: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let one = |_| {
        let mut bytes = base.to_vec();
        let reach = if random.below(2) == 0 { bytes.len().min(48) } else { bytes.len() };
        let at = random.below(reach.max(1));
        match (random.below(8), bytes.get_mut(at)) {
            (0, Some(byte)) => *byte = random.number() as u8,
            (1, Some(byte)) => *byte = byte.wrapping_add(1),
            (2, Some(byte)) => *byte ^= 1 << random.below(8),
            (3, Some(byte)) => *byte = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            (4, Some(_)) => bytes.truncate(at),
            (5, Some(_)) => drop(bytes.remove(at)),
            (6, _) => bytes.insert(at, random.number() as u8),
            _ => bytes.push(0),
        }
        bytes
    };
    (0..count).map(one).collect()
}
