//! Windows of series as worn sensors would report them: stuck at a value, or late.

use super::attack::Room;
use super::points::Points;
use super::space::Space;

/// The positions in a point of one number, from the first step of the window to the last.
pub type Sensor = Vec<usize>;

/// The numbers that come with every step and may be moved; none for rows that are no windows.
pub fn sensors(space: &Space, room: &Room) -> Vec<Sensor> {
    let per_step = space.per_step();
    if space.steps < 2 {
        return vec![];
    }
    let moves = |place: &usize| room.scale[*place] > 0.0;
    (0..per_step)
        .filter(moves)
        .map(|place| (0..space.steps).map(|step| step * per_step + place).collect())
        .collect()
}

/// The points with sensors that have reported the same value for the last `steps` steps.
pub fn stuck(space: &Space, points: &Points, sensors: &[Sensor], steps: usize) -> Vec<f32> {
    moved(space, points, sensors, |step, last| step.min(last.saturating_sub(steps)))
}

/// The points with sensors whose values come `steps` steps late; before that, the window's first one.
pub fn delayed(space: &Space, points: &Points, sensors: &[Sensor], steps: usize) -> Vec<f32> {
    moved(space, points, sensors, |step, _| step.saturating_sub(steps))
}

/// The points with `by` deviations added to what sensors report.
pub fn shifted(space: &Space, points: &Points, sensors: &[Sensor], room: &Room, by: f64) -> Vec<f32> {
    let mut x = points.x.clone();
    for point in x.chunks_mut(space.width().max(1)) {
        for &at in sensors.iter().flatten() {
            point[at] = (f64::from(point[at]) + by * f64::from(room.scale[at])) as f32;
        }
    }
    x
}

/// The points in which each step of sensors has the value of the step that `from` names, given the last one.
fn moved(
    space: &Space,
    points: &Points,
    sensors: &[Sensor],
    from: impl Fn(usize, usize) -> usize,
) -> Vec<f32> {
    let width = space.width().max(1);
    let mut x = points.x.clone();
    for (point, clean) in x.chunks_mut(width).zip(points.x.chunks(width)) {
        for sensor in sensors {
            for (step, &at) in sensor.iter().enumerate() {
                point[at] = clean[sensor[from(step, sensor.len() - 1)]];
            }
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_stick_come_late_and_drift() {
        let space = Space { features: 8, steps: 4, ..Space::default() };
        // The second number of each step is no sensor.
        let room = Room { scale: [2.0, 0.0].repeat(4), range: vec![[-9.0, 9.0]; 8] };
        let x = vec![1.0, 0.1, 2.0, 0.2, 3.0, 0.3, 4.0, 0.4];
        let points = Points { count: 1, x, ..Points::default() };
        let all = sensors(&space, &room);
        assert_eq!(all, [[0, 2, 4, 6]]);
        assert_eq!(stuck(&space, &points, &all, 2), [1.0, 0.1, 2.0, 0.2, 2.0, 0.3, 2.0, 0.4]);
        assert_eq!(stuck(&space, &points, &all, 9), [1.0, 0.1, 1.0, 0.2, 1.0, 0.3, 1.0, 0.4]);
        assert_eq!(delayed(&space, &points, &all, 1), [1.0, 0.1, 1.0, 0.2, 2.0, 0.3, 3.0, 0.4]);
        assert_eq!(shifted(&space, &points, &all, &room, -0.5), [0.0, 0.1, 1.0, 0.2, 2.0, 0.3, 3.0, 0.4]);
    }
}
