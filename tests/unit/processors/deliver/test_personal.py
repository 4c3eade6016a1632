"""Which names of fields say that a value is about a person."""

import pytest

from processors.deliver.personal import is_personal, plain_name

PERSONAL = """
    email Email eMail E-Mail EMAIL e_mails customerEmail email_address emailAddress contact-email-2 mail
    phone Phone PHONE phoneNumber phone_number telephone mobile_phone mobilePhoneNumber cellphone cell_phone phone2
    phoneExt fax tel msisdn whatsapp mobile
    first_name firstName FirstName FIRST_NAME lastname LastName full_name fullName surname familyName middle_name
    customer_name recipientName senderName contact_person_name consignee_name shippingName cardholder_name user_name
    customer recipient shipTo ship_to bill_to buyer contact consignee contacts shipping_contact
    address Address old_address shippingAddress shipping-address billing_address addresses address1 address_2
    addressLine1 AddressLine2 address_city homeaddress deliveryAddressPostalCode ipAddress addr
    street street1 streetName street_number house_number city Town postal_code postalCode postcode zip zipCode ZIP
    shippingCity province county latitude
    signed_by signedBy gift_message note notes customerNote comments delivery_instructions
""".split()  # noqa: SIM905 a list of words reads better as words
NOT_PERSONAL = """
    name product_name carrier_name service_name store_name filename id order_id customer_id addressId address_id
    address_type shipping_address_status address_validated email_verified phone_case warehouse warehouse_id
    street_wear
    state status country currency code barcode discount_code sku title description topic message data resource
    reference buyerReference buyerOrderId tracking_number trackingUrls carrier service quantity price mailing_class
    unique_id order_ref source items created_at merchant_code capacity velocity recity
""".split()  # noqa: SIM905 a list of words reads better as words


@pytest.mark.parametrize("name", PERSONAL)
def test_a_field_about_a_person_tells_by_its_name(name: str) -> None:
    """However it is spelt: snake, camel, kebab, capitals, numbered."""
    assert is_personal(plain_name(name))


@pytest.mark.parametrize("name", NOT_PERSONAL)
def test_a_field_about_a_thing_is_left_alone(name: str) -> None:
    """Ids, states, figures and the names of things are what events are for."""
    assert not is_personal(plain_name(name))


@pytest.mark.parametrize(
    ("name", "plain"),
    [("Código-postal", "codigo_postal"), ("HTTPServerName2", "http_server_name_2"), ("", ""), ("__a__", "a")],
)
def test_a_plain_name_is_words_of_ascii(name: str, plain: str) -> None:
    """One spelling for all: lower case, without accents, words joined by underscores."""
    assert plain_name(name) == plain


def test_a_long_name_costs_no_more_than_a_short_one() -> None:
    """What a stranger makes of a million characters is judged by its beginning."""
    assert len(plain_name("address" + "a_" * 1_000_000)) <= 128
