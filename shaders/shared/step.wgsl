// Values that change from step to step: 16 words, one record per step in a uniform with a dynamic offset.
struct StepRecord {
    step: u32,
    batch_start: u32,
    slot: u32,
    seed_low: u32,
    seed_high: u32,
    learning_rate: f32,
    optimizer_0: f32,
    optimizer_1: f32,
    optimizer_2: f32,
    optimizer_3: f32,
    loss_weight: f32,
    micro_batch: u32,
    reserved_0: u32,
    reserved_1: u32,
    reserved_2: u32,
    // 0, which the compiler cannot know.
    zero: u32,
}
@group(2) @binding(0) var<uniform> step: StepRecord;
