//! What all fuzz targets do: try an input, and measure what memory that takes.

mod heap;

use messageu_proptests::target::Target;

/// Tries an input on a target's property, within the target's memory.
///
/// # Panics
/// Where the property does not hold, or takes more memory than it should.
pub fn try_input(target: &Target, input: &[u8]) {
    let taken = heap::peak_of(|| (target.property)(input));
    target.assert_memory(input, taken);
}
