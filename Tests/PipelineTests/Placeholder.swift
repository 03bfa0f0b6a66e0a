// Call Scheduler
