"""URLs of the example project."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtail_admin_urls
from wagtail.api.v2.router import WagtailAPIRouter
from wagtail.api.v2.views import PagesAPIViewSet
from wagtail.documents import urls as wagtail_documents_urls

from .forms import StyleForm

api = WagtailAPIRouter("api")
api.register_endpoint("pages", PagesAPIViewSet)

home = TemplateView.as_view(template_name="website/home.html", extra_context={"form": StyleForm()})

urlpatterns = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("api/", api.urls),
    path("cms/", include(wagtail_admin_urls)),
    path("documents/", include(wagtail_documents_urls)),
    path("pages/", include(wagtail_urls)),
]
