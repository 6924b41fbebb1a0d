//! Tests of the flight.
