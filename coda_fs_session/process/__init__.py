"""What happens to a process while it works: interrupts, forks, threads that meet."""
