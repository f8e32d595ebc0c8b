"""The simulator beside real Triton servers, under the same arrivals."""
