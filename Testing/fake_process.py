"""A process that computes nothing: it remembers its jobs, and the test says what becomes of them."""


class FakeProcess:
    def __init__(self):
        self.tell = self.log = None
        self.jobs, self.cancels, self.is_closed = [], 0, False

    def made_for(self, on_event, on_log):
        self.tell, self.log = on_event, on_log
        return self

    def start(self, job):
        self.jobs.append(job)

    def cancel(self):
        self.cancels += 1

    def close(self):
        self.is_closed = True
