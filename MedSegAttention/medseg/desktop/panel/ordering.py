"""What Apply does: install what is missing, turn the choices into orders, and queue them."""

from collections.abc import Callable

from medseg.bundles.catalogue import Bundle
from medseg.desktop.install.dependencies import DependencyInstaller
from medseg.desktop.panel.status_view import StatusView
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.queue.orders import left_out, make_orders, orders_for_all
from medseg.desktop.state.order import Order
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.texts import _
from medseg.spec.errors import MedSegError


class Ordering:
    """Orders of the panel; what is wrong with one is said in the status line.

    Args:
        parameters: hold the choices.
        current_model: the chosen one; None where it is not installed.
        queue: takes the orders.
        status: says what happens.
        installer: installs what is missing, before anything else; None: nothing is installed.
    """

    def __init__(
        self,
        parameters: Parameters,
        current_model: Callable[[], Bundle | None],
        queue: JobQueue,
        status: StatusView,
        installer: DependencyInstaller | None,
    ) -> None:
        self._parameters, self._model, self._queue, self._status = parameters, current_model, queue, status
        self._installer = installer
        self._is_ordering = False

    def order(self) -> None:
        """Queue a job with what the controls hold."""
        self._order(make_orders)

    def order_all(self) -> None:
        """Queue a job for every volume of the scene, or each set of channels; what is left out is said."""
        bundle = self._model()
        self._order(orders_for_all, "" if bundle is None else left_out(self._parameters.scene, bundle))

    def _order(self, make: Callable[[Parameters, Bundle], list[Order]], note: str = "") -> None:
        if self._is_ordering:  # pressed again while an installation lets events through
            return
        bundle = self._model()
        if bundle is None:
            self._status.say(_("No model is installed."))
            return
        self._is_ordering = True
        self._status.note(note)
        self._status.say(_("Starting..."))
        self._status.repaint()  # copying and writing the volume keeps the window busy for a moment
        try:
            if self._installer is not None:
                self._installer.ensure()
            orders = make(self._parameters, bundle)
            self._status.say("" if orders or note else _("The scene holds no volumes for this model."))
            for order in orders:
                self._queue.add(order)
        except (MedSegError, OSError) as error:
            self._status.say(str(error))
        finally:
            self._is_ordering = False
