// A hundred kinds of children: each `async` block is a type of its own.
macro_rules! spawn_a_hundred {
    ($into:expr) => {
        spawn_a_hundred!(@one $into, 0 1 2 3 4 5 6 7 8 9);
        spawn_a_hundred!(@one $into, 10 11 12 13 14 15 16 17 18 19);
        spawn_a_hundred!(@one $into, 20 21 22 23 24 25 26 27 28 29);
        spawn_a_hundred!(@one $into, 30 31 32 33 34 35 36 37 38 39);
        spawn_a_hundred!(@one $into, 40 41 42 43 44 45 46 47 48 49);
        spawn_a_hundred!(@one $into, 50 51 52 53 54 55 56 57 58 59);
        spawn_a_hundred!(@one $into, 60 61 62 63 64 65 66 67 68 69);
        spawn_a_hundred!(@one $into, 70 71 72 73 74 75 76 77 78 79);
        spawn_a_hundred!(@one $into, 80 81 82 83 84 85 86 87 88 89);
        spawn_a_hundred!(@one $into, 90 91 92 93 94 95 96 97 98 99);
    };
    (@one $into:expr, $($number:literal)*) => {
        $($into.spawn(async {
            tokio::time::sleep(Duration::from_millis($number)).await;
            println!("{}", $number);
            Ok::<(), BoxError>(())
        });)*
    };
}
