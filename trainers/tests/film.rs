//! Films of episodes, and what the worlds look like.

use anygrad_core::{Device, Tensor};
use anygrad_trainers::reinforcement::environments::{
    Acrobot, Breakout, CartPole, Lander, MountainCar, Pendulum, Snake,
};
use anygrad_trainers::reinforcement::film::{Color, Draw, Film, Picture, film};
use anygrad_trainers::reinforcement::{Environment, Layers, Ppo, PpoConfig};

fn device() -> Device {
    anygrad_core::testing::device()
}

#[test]
fn a_film_shows_the_world_and_becomes_an_animation() {
    let device = device();
    device.seed(4).expect("seeded");
    let config = PpoConfig { seeds: 2, layers: Layers::tanh(&[4]), ..PpoConfig::default() };
    let ppo = Ppo::new(CartPole, config, &device).expect("agents");
    let film = film(&ppo.agent().actor, CartPole, 30, &device).expect("a film");
    // Reward 1 per step.
    assert_eq!(film.total, film.pictures.len() as f64);
    assert!((5..=30).contains(&film.pictures.len()));
    let first = &film.pictures[0];
    // The cart stands in the middle, the pole upright above it, the corner is empty.
    assert_eq!(first.at(0.46, 0.40), Some(Color::Ink));
    assert_eq!(first.at(0.5, 0.6), Some(Color::Blue));
    assert_eq!(first.at(0.02, 0.98), Some(Color::White));
    let path = std::env::temp_dir().join(format!("anygrad-film-{}.gif", std::process::id()));
    film.gif(&path, 4).expect("written");
    let file = std::fs::File::open(&path).expect("a file");
    let mut decoder = gif::DecodeOptions::new().read_info(file).expect("a GIF");
    assert_eq!((decoder.width(), decoder.height()), (200, 200));
    let mut frames = 0;
    while let Some(frame) = decoder.read_next_frame().expect("a frame") {
        // The same pixel as in the picture: the third color of the palette.
        let pixel = frame.buffer[200 * 120 + 92];
        assert!(frames > 0 || pixel == Color::Ink as u8, "{pixel}");
        frames += 1;
    }
    assert_eq!(frames, film.pictures.len());
    std::fs::remove_file(&path).expect("removed");
    let none = Film { pictures: Vec::new(), total: 0.0 };
    assert!(none.gif(&path, 4).expect_err("nothing").to_string().contains("without pictures"));
}

/// The picture of a state, and the colors that are in it.
fn drawn(world: &dyn Draw, state: &[Vec<f64>]) -> Picture {
    let mut picture = Picture::default();
    world.draw(state, &mut picture);
    picture
}

#[test]
fn worlds_are_drawn_where_things_are() {
    let one = |values: &[f64]| values.iter().map(|x| vec![*x]).collect::<Vec<_>>();
    let color = |picture: Picture, x: f64, y: f64| picture.at(x, y);
    let down = std::f64::consts::PI;
    assert_eq!(color(drawn(&CartPole, &one(&[1.2, 0.0, 0.0, 0.0])), 0.75, 0.6), Some(Color::Blue));
    assert_eq!(color(drawn(&Pendulum, &one(&[0.0, 0.0])), 0.5, 0.85), Some(Color::Blue));
    assert_eq!(color(drawn(&Pendulum, &one(&[down, 0.0])), 0.5, 0.15), Some(Color::Blue));
    assert_eq!(color(drawn(&Acrobot, &one(&[0.0; 4])), 0.5, 0.2), Some(Color::Blue));
    assert_eq!(color(drawn(&Acrobot, &one(&[0.0, down, 0.0, 0.0])), 0.5, 0.4), Some(Color::Blue));
    // At the flag.
    assert_eq!(color(drawn(&MountainCar, &one(&[0.5, 0.0])), 0.944, 0.83), Some(Color::Blue));
    assert_eq!(color(drawn(&Lander, &one(&[5.0, 10.0, 0.0, 0.0, 0.0, 0.0])), 0.75, 0.61), Some(Color::Blue));
    // Lying on its side it points to the left.
    assert_eq!(color(drawn(&Lander, &one(&[5.0, 10.0, 0.0, 0.0, down / 2.0, 0.0])), 0.69, 0.55), Some(Color::Blue));
    let device = device();
    let numbers =
        |state: Vec<Tensor>| -> Vec<Vec<f64>> { state.iter().map(|part| part.to_f64().expect("numbers")).collect() };
    let bricks = drawn(&Breakout, &numbers(Breakout.reset(1, &device)));
    assert_eq!((bricks.at(0.45, 0.05), bricks.at(0.05, 0.95)), (Some(Color::Blue), Some(Color::White)));
    assert!(matches!(bricks.at(0.05, 0.75), Some(Color::Red | Color::Grey)));
    let snake = drawn(&Snake, &numbers(Snake.reset(1, &device)));
    assert_eq!((snake.at(0.45, 0.45), snake.at(0.35, 0.45)), (Some(Color::Ink), Some(Color::Blue)));
}
